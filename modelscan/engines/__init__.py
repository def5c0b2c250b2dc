"""ONE FOLDER PER ENGINE: versions, support, memory, flags, log lines, failures. Pure."""

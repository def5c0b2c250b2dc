"""One folder per engine: versions, support, memory, flags, log lines, failures. Pure."""

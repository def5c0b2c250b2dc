"""A running Ollama server as a target."""

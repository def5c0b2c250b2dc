"""config.json or a GGUF header to one normalised architecture. Pure."""

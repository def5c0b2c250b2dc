"""WEIGHT FILES: GGUF and safetensors headers, names of quantizations, what a file is. Pure."""

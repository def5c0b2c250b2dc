"""WEIGHT FILES: GGUF and safetensors headers, quantization names, roles of files. Pure."""

"""Where deployments run: this machine, a GPUStack cluster, an Ollama server. One protocol."""

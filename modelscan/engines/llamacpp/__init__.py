"""llama.cpp: the embedded server (xllamacpp), or a llama-server binary."""

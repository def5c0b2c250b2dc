"""llama.cpp's own dry run: what it would allocate."""

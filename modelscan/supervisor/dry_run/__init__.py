"""llama.cpp's own dry run: the bytes it would allocate."""

"""The embedded llama.cpp server in a process of its own."""

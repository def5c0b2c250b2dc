"""An Ollama server that runs already: its API."""

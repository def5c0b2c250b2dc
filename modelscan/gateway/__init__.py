"""An OpenAI-compatible server over the routing file."""

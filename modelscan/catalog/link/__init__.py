"""Which records of different sources are about one model, with reasons."""

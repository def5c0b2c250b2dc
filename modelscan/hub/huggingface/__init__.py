"""Hugging Face or a mirror of it: requests and parsers."""

"""Hugging Face and ModelScope: repository facts, cards, downloads, caches."""

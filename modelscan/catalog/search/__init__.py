"""Names and words to models."""

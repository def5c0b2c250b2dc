"""Where a model comes from and what exactly its files are."""

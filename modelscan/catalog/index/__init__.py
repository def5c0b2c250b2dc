"""The catalog as one SQLite file: written, published, read."""

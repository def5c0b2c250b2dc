"""The catalog as one SQLite file: writing, publishing, reading."""

"""Alembic's environment of the server's database."""

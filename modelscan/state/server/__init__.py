"""The server's database: keys and receipts (SQLAlchemy Core; SQLite)."""

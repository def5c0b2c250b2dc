"""One module per catalog source; fetching (I/O) is separate from parsing (pure)."""

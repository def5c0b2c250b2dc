"""One module per catalog source; fetch (I/O) stands apart from parse (pure)."""

"""One module per suite: it makes the items of its data file and grades an answer."""

"""Groups the records of all sources by model, with reasons."""

"""Merges each group of records into one model; each field has its source."""

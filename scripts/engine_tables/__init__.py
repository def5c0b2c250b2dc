"""Facts about engine versions, read from the packages that the engines publish."""

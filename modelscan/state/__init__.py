"""What modelscan remembers: paths, settings, atomic files, locks, the store, secret references."""

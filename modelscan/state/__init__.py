"""This machine's own records: paths, settings, atomic files, locks, the store, secret
references.
"""

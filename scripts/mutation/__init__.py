"""Mutation testing of the pure rooms: mutants, the tests that cover them, runs in a copy."""

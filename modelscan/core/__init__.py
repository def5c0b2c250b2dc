"""Shared vocabulary of all packages: frozen value types, units and errors. No I/O."""

"""The vocabulary every other package speaks: frozen values, units and errors. No I/O."""

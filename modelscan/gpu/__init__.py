"""WHAT HARDWARE: run_x() does I/O, parse_x(text) is pure; simulation and a table of facts."""

"""The command line: one file per command group; output.py is the only printer."""

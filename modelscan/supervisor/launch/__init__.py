"""A plan as the exact start of an engine on this machine."""

"""What happened: one receipt per request, stored on this machine."""

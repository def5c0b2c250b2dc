"""The serving process: workers, keys, health of backends, and the control application."""

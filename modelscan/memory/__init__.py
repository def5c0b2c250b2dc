"""Memory estimates shared by all engines: architecture, weights, parallelism, speed. Pure."""

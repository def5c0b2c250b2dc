"""HOW MANY BYTES: what engines share: architecture, weights, parallelism, speed. Pure."""

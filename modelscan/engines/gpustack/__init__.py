"""GPUStack, the cluster engine: a typed client of its API (2.x and 0.7)."""

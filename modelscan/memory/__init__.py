"""HOW MANY BYTES: architecture, weights, KV cache, one module per engine, speed. Pure."""

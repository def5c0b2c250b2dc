"""What runs now: requests, tokens, queues, caches and memory, for ``modelscan top``."""

"""SGLang in an environment of its own: found, its command line, what its log says."""

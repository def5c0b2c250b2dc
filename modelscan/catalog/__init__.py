"""WHICH MODELS: sources fetched, parsed, linked, merged with provenance, indexed, searched."""

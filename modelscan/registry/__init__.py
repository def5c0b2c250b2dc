"""Which models are trusted: models, their immutable versions, tags, aliases and what happened."""

"""``modelscan registry``: which models are trusted, and how they reach a route."""

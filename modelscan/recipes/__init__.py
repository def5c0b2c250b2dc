"""Recipes: a script, its environment and a manifest, rendered into a folder and run on request."""

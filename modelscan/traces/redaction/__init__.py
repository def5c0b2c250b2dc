"""Removes secrets and personal places from what is exported. Pure."""

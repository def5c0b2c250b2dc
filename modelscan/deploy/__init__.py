"""The life cycle of a deployment: deploy, start, stop, remove, list, verify."""

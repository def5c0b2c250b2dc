"""Engines in containers of docker or podman: the command, the image, the checks, the errors."""

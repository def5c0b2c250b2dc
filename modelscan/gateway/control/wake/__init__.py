"""Wakes deployments for requests that wait, and puts others to sleep for their memory."""

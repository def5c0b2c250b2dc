"""Weights that other programs keep on this machine: found and read, never copied or changed."""

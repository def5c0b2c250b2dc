"""A GPUStack cluster as a target."""

"""A plan as a file for other tools: compose, systemd, Quadlet, Kubernetes, SkyPilot, GPUStack."""

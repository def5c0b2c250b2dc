"""NVIDIA: NVML, every form of nvidia-smi, tegrastats."""

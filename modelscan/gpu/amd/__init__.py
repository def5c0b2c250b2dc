"""AMD: sysfs, amd-smi, rocm-smi."""

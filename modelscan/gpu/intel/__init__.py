"""Intel: sysfs, xpu-smi, hl-smi."""

"""VoxBox: GPUStack's server for speech models. Pure."""

from modelscan.core.workload import Backend

NAME: Backend = "voxbox"
CLAIM = "GPUSTACK_MODEL_VRAM_CLAIM"  # of a recipe: the bytes that its scheduler reserves

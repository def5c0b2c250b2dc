"""What vLLM's profile of a vision tower allocates, for towers that take any resolution (Qwen-VL).

Code: ``GPUModelRunner.profile_run`` encodes as many inputs of the largest size as the encoder's
budget of tokens allows, keeps their embeddings, and only then runs the language model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.engines.vllm.settings import VllmSettings

# The processors' largest image: 12,845,056 pixels of 28 x 28 a token (Qwen2-VL, 2.5), 16,777,216
# of 32 x 32 (Qwen3-VL and later).
_IMAGE_TOKENS = 16384
_VIDEO_FRAMES = 14  # code: qwen2_vl.py, _MAX_FRAMES_PER_VIDEO; Qwen3-VL's video is one frame pair


@dataclass(frozen=True, slots=True)
class Profile:
    """Bytes on one GPU: the tower's own peak, and the embeddings that the next run still sees."""

    peak_bytes: int
    output_bytes: int


def profile(architecture: Architecture, settings: VllmSettings) -> Profile | None:
    """None for other towers, and with options that exclude it."""
    extra = architecture.extra
    merge, values = int(extra.get("vision_merge", 0)), int(extra.get("vision_patch_values", 0))
    if not merge or not settings.profiled_images:
        return None
    item = _item_tokens(int(extra.get("vision_video_frames", 0)), settings)
    tokens = item * max(1, settings.max_num_batched_tokens // item)
    wide = int(extra.get("vision_patch_wide", 0)) / settings.tensor_parallel
    patches = tokens * merge * merge
    return Profile(
        peak_bytes=round(patches * (values + wide) * settings.dtype_bytes),
        output_bytes=tokens * architecture.hidden * settings.dtype_bytes,
    )


def _item_tokens(frames_per_patch: int, settings: VllmSettings) -> int:
    """Tokens of the largest input: a video of as many frames as the context has room for, where
    the model's processor lets frames add up; else an image.
    """
    if not frames_per_patch or not settings.profiled_videos:
        return _IMAGE_TOKENS
    pairs = min(_VIDEO_FRAMES // frames_per_patch, settings.max_model_len // _IMAGE_TOKENS)
    return _IMAGE_TOKENS * max(1, pairs)

"""Which files of a repository a plan needs, and where they may go. Pure.

One GGUF quantization with its shards and projector; safetensors without duplicates. Formats that
can run code when they are opened (pickles), and a repository's own code, only where the plan was
made with ``--allow-unsafe``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.model import WeightFile
from modelscan.core.plan import Plan
from modelscan.engines.flags import REMOTE_CODE

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".joblib", ".mar")
_SIDE_FILES = (
    "config.json", "generation_config.json", "tokenizer*", "vocab*", "merges.txt", "*.model",
    "special_tokens_map.json", "added_tokens.json", "chat_template*", "preprocessor_config.json",
    "processor_config.json", "video_preprocessor_config.json", "hf_quant_config.json",
    "quantize_config.json", "quant_config.json", "params.json", "tekken.json", "modules.json",
    "config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling/config.json",
    "adapter_config.json",
)  # fmt: skip
_PROJECTOR_LABELS = ("F16", "FP16", "BF16", "Q8_0", "F32")
_PROJECTOR_FACTOR = 2  # its weights, and as much again for what it computes with
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})(?P<ext>\.\w+)$")
_DUPLICATES = re.compile(r"(^|/)(consolidated|original)[^/]*", re.IGNORECASE)


def needed(plan: Plan, listing: Sequence[WeightFile]) -> tuple[WeightFile, ...]:
    """The files to fetch, in the order of the listing.

    Raises NotDeployableError when the weights the plan names are not in the repository, or are
    there only as pickles; UsageError for a file name that would leave its folder.
    """
    by_path = {file.path: file for file in listing}
    for path in by_path:
        check_path(path)
    chosen = _gguf(plan, by_path) if plan.format == "gguf" else _repository(plan, by_path)
    return tuple(file for file in listing if file.path in chosen)


def check_path(path: str) -> str:
    """A name from a hub must stay inside its folder; raises UsageError otherwise."""
    pure = PurePosixPath(path)
    unsafe = pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path
    if unsafe or not path or path.endswith("/") or re.match(r"^[A-Za-z]:", path):
        raise UsageError(
            f"the repository has a file with an unsafe name: {path!r}", code="unsafe_path"
        )
    return path


def is_projector(path: str) -> bool:
    """llama.cpp's image and audio encoders are files of their own."""
    return "mmproj" in path.rpartition("/")[2].lower()


def projectors(files: Iterable[WeightFile]) -> list[WeightFile]:
    """The repository's projectors, best first: 16 bits are small enough and lose nothing."""

    from modelscan.hub.repo_info import gguf_label

    def rank(file: WeightFile) -> tuple[int, str]:
        label = gguf_label(file.path)
        order = _PROJECTOR_LABELS.index(label) if label in _PROJECTOR_LABELS else 9
        return order, file.path

    named = (f for f in files if is_projector(f.path) and f.path.lower().endswith(".gguf"))
    return sorted(named, key=rank)


def _projector(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    """The projector that a plan made without the repository's list (a catalog name) knows
    nothing of: taken where its memory is left."""
    if plan.revision is not None or any(is_projector(path) for path in plan.files):
        return set()  # whoever made the plan saw the repository
    found = next(iter(projectors(by_path.values())), None)
    if found is None or found.size_bytes is None:
        return set()
    estimate = plan.estimate
    device = next(iter(estimate.per_gpu), estimate.host)
    if device is None or device.free_bytes is None:
        return set()
    left = device.free_bytes - device.total_bytes - estimate.margin_bytes
    return {found.path} if left >= _PROJECTOR_FACTOR * found.size_bytes else set()


def _gguf(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    chosen = _projector(plan, by_path)
    for name in plan.files or [p for p in by_path if p.endswith(".gguf")]:
        if name not in by_path:
            raise _absent(plan, name, by_path)
        chosen |= {name, *_shards(name, by_path)}
    return chosen


def parts(name: str) -> list[str]:
    """The names of all parts of a split file, of one that is whole its own name."""
    match = _SHARD.match(name)
    if not match:
        return [name]
    count = int(match["count"])
    return [f"{match['stem']}-{i:05d}-of-{count:05d}{match['ext']}" for i in range(1, count + 1)]


def _shards(name: str, by_path: Iterable[str]) -> set[str]:
    """Every part of a split file; raises NotDeployableError when one is missing."""
    named = set(parts(name))
    missing = named - set(by_path)
    if missing:
        raise NotDeployableError(
            f"{len(missing)} of {len(named)} parts are missing, e.g. {sorted(missing)[0]}",
            hint="modelscan plan MODEL --all", code="incomplete",
        )  # fmt: skip
    return named


def _repository(plan: Plan, by_path: dict[str, WeightFile]) -> set[str]:
    """The folder that vLLM and SGLang load: weights, their index, and what goes with them."""
    side = {
        path
        for path in by_path
        if any(fnmatch.fnmatch(path, pattern) for pattern in _SIDE_FILES)
        and not path.endswith((*PICKLES, ".gguf"))
    }
    if any(key.replace("_", "-") == REMOTE_CODE for key in plan.settings):
        side |= {path for path in by_path if path.endswith(".py")}
    if plan.format == "pickle":
        return side | _pickled(plan, by_path)
    tensors = {path for path in by_path if path.endswith(".safetensors")}
    own = {path for path in tensors if not _DUPLICATES.search(path)} or tensors
    top = {path for path in own if "/" not in path}
    if not own:
        raise _only_pickles(plan, by_path)
    indexes = {path for path in by_path if path.endswith(".safetensors.index.json")}
    return (top or own) | side | {i for i in indexes if not _DUPLICATES.search(i)}


def _pickled(plan: Plan, by_path: Iterable[str]) -> set[str]:
    """Only a plan that was made with ``--allow-unsafe`` has this format."""
    from modelscan.hub.repo_info import is_pickled_weights

    weights = {path for path in by_path if is_pickled_weights(path)}
    if not weights:
        raise _no_weights(plan)
    return weights | {path for path in by_path if path.endswith(".bin.index.json")}


def _absent(plan: Plan, name: str, by_path: Iterable[str]) -> NotDeployableError:
    there = sorted(path for path in by_path if path.endswith(".gguf"))[:5]
    listed = ", ".join(there) or "no GGUF file"
    return NotDeployableError(
        f"{plan.repo} has no file {name} (it has {listed})",
        hint="modelscan catalog sync", code="file_missing", details={"files": there},
    )  # fmt: skip


def _only_pickles(plan: Plan, by_path: Iterable[str]) -> NotDeployableError:
    pickles = sorted(path for path in by_path if path.endswith(PICKLES))
    if pickles:
        return NotDeployableError(
            f"{plan.repo} has its weights only as {pickles[0]}: opening such a file can run code",
            hint=f"choose one with safetensors or GGUF: modelscan catalog info {plan.model}",
            code="unsafe_format", details={"files": pickles[:20]},
        )  # fmt: skip
    return _no_weights(plan)


def _no_weights(plan: Plan) -> NotDeployableError:
    return NotDeployableError(
        f"{plan.repo} has no weights", hint=f"modelscan catalog passport hf:{plan.repo}",
        code="no_weights",
    )  # fmt: skip

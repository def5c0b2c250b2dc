"""Whole config.json contents out of MaxText, for models whose layers no table describes.

Its ``hf_model_configs.py`` is run on its own with a stand-in for transformers whose classes keep
their keyword arguments. Its names are its own; only the entries below are taken.
"""

from __future__ import annotations

import builtins
import types
from typing import Any

from modelscan.catalog.records import SourceRecord, SourceSnapshot
from scripts.catalogs_configs import pruned
from scripts.catalogs_packages import MAXTEXT, members

SOURCE = "maxtext"
# MaxText's name -> the repositories that have this config.json (in all that a size follows from).
_REPOSITORIES = {
    "gemma4-26b": ("google/gemma-4-26B-A4B-it", "google/gemma-4-26B-A4B"),
    "gemma4-31b": ("google/gemma-4-31B-it", "google/gemma-4-31B"),
    "gemma4-e2b": ("google/gemma-4-E2B-it", "google/gemma-4-E2B"),
    "gemma4-e4b": ("google/gemma-4-E4B-it", "google/gemma-4-E4B"),
    "qwen3-next-80b-a3b": (
        "Qwen/Qwen3-Next-80B-A3B-Instruct", "Qwen/Qwen3-Next-80B-A3B-Thinking",
    ),
    "qwen3.5-397b-a17b": ("Qwen/Qwen3.5-397B-A17B",),
    "qwen3.5-35b-a3b": ("Qwen/Qwen3.5-35B-A3B",),
    "deepseek2-16b": (
        "deepseek-ai/DeepSeek-V2-Lite", "deepseek-ai/DeepSeek-V2-Lite-Chat",
        "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct", "deepseek-ai/DeepSeek-Coder-V2-Lite-Base",
    ),
    "deepseek3-671b": ("deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3-0324"),
}  # fmt: skip


def snapshot() -> SourceSnapshot:
    """One record per repository of the table above."""
    ((_, source),) = members(MAXTEXT, inside="/utils/hf_model_configs", suffix=".py")
    configs = model_configs(source.decode())
    records = [
        SourceRecord(
            key=repo,
            kind="repository",
            name=repo.partition("/")[2],
            repos=(repo,),
            architecture=pruned(configs[name]),
        )
        for name, repositories in _REPOSITORIES.items()
        for repo in repositories
    ]
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=MAXTEXT.published,
        records=tuple(sorted(records, key=lambda record: record.key)),
        origin=MAXTEXT.origin,
        licence=f"{MAXTEXT.licence} (package); facts of each model's own config.json",
    )


def model_configs(source: str) -> dict[str, dict[str, Any]]:
    """MaxText's name -> the config.json that its entry describes."""
    scope: dict[str, Any] = {
        "__name__": "maxtext_configs",
        "__builtins__": {**vars(builtins), "__import__": _import, "open": None},
    }
    exec(compile(source, "hf_model_configs.py", "exec", dont_inherit=True), scope)
    return {name: _plain(config) for name, config in scope["HF_MODEL_CONFIGS"].items()}


class _Config:
    """A stand-in for a class of transformers: it keeps its keyword arguments."""

    model_type: str | None = None

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments


class _Transformers(types.ModuleType):
    __version__ = "5.0.0"

    def __getattr__(self, name: str) -> Any:
        return type(name, (_Config,), {"model_type": _TYPES.get(name)})


# For entries that leave the class to state it.
_TYPES = {"DeepseekV2Config": "deepseek_v2", "DeepseekV3Config": "deepseek_v3"}


def _plain(value: Any) -> Any:
    if isinstance(value, _Config):
        stated = {"model_type": value.model_type} if value.model_type else {}
        return _plain({**stated, **value.arguments})
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _import(name: str, *rest: Any) -> Any:
    if name.partition(".")[0] == "transformers":
        return _Transformers(name)
    raise ImportError(f"hf_model_configs.py imports {name}, which this build does not run")

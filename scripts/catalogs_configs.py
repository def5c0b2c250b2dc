"""config.json files out of aiconfigurator-core: the fields that say what a model is made of."""

from __future__ import annotations

import json
from typing import Any

from modelscan.catalog.records import SourceRecord, SourceSnapshot
from scripts.catalogs_packages import CONFIGS, members

SOURCE = "configs"
_SUFFIX = "_config.json"
_QUANT_SUFFIX = "_hf_quant_config.json"  # NVIDIA's own file beside a config.json
# Fields about tokenization, training and other programs; nothing that a size follows from.
_DROPPED = (
    "token_id", "token_index", "token_ids", "_id", "dropout", "initializer", "transformers_version",
    "auto_map", "_name_or_path", "use_cache", "pretraining_tp", "aux_loss", "_eps", "epsilon",
    "id2label", "label2id", "task_specific_params", "bad_words_ids", "suppress_tokens",
)  # fmt: skip
_LONG = 300  # longer lists are per-layer ignore lists of quantizers, not layer kinds


def snapshot() -> SourceSnapshot:
    """One record per config file; its name is the repository with ``--`` for the slash."""
    files = dict(members(CONFIGS, inside="/model_configs/", suffix=_SUFFIX))
    configs = {p: json.loads(d) for p, d in files.items() if not p.endswith(_QUANT_SUFFIX)}
    for path, config in configs.items():
        quant = files.get(path.removesuffix(_SUFFIX) + _QUANT_SUFFIX)
        if quant and "quantization_config" not in config:
            stated = json.loads(quant).get("quantization", {})
            config["quantization_config"] = {"quant_method": "modelopt", **stated}
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=CONFIGS.published,
        records=tuple(_record(path, config) for path, config in sorted(configs.items())),
        origin=CONFIGS.origin,
        licence=f"{CONFIGS.licence} (package); facts of each model's own config.json",
    )


def _record(path: str, config: dict[str, Any]) -> SourceRecord:
    name = path.rpartition("/")[2].removesuffix(_SUFFIX)
    repo = name.replace("--", "/", 1)
    return SourceRecord(
        key=repo,
        kind="repository",
        name=repo.partition("/")[2],
        repos=(repo,),
        architecture=pruned(config),
    )


def pruned(config: Any, name: str = "") -> Any:
    """The config without what no size follows from."""
    if isinstance(config, dict):
        kept = {
            k: pruned(v, k)
            for k, v in config.items()
            if not any(part in k for part in _DROPPED) and v is not None
        }
        return {k: v for k, v in kept.items() if v != [] or not k.startswith("modules")}
    if isinstance(config, list):
        ignored = name in ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")
        return [] if ignored or len(config) > _LONG else [pruned(item) for item in config]
    return config

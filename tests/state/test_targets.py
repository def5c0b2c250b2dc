"""The file of configured servers: round trip, default, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelscan.core.errors import UsageError
from modelscan.state import targets
from modelscan.state.config import load as load_config
from modelscan.state.paths import Paths
from modelscan.state.targets import TargetConfig


@pytest.fixture
def where() -> Paths:
    return load_config({}).paths


def test_round_trip(where: Paths) -> None:
    first = TargetConfig("lab", "https://gpu.lan/", "env:KEY", "/ca.pem", 'west "2"')
    targets.put(where, first)
    targets.put(where, TargetConfig("other.2", "http://127.0.0.1:80"))
    found = targets.load(where)
    assert found.default == "lab"
    lab = found.find("lab")
    assert replace(lab, owner=None) == TargetConfig(
        "lab", "https://gpu.lan", "env:KEY", "/ca.pem", 'west "2"'
    )
    changed = targets.put(where, TargetConfig("lab", "https://other.lan")).find("lab")
    assert (changed.url, changed.owner) == ("https://other.lan", lab.owner)
    assert found.find("other.2").owner not in (None, lab.owner)
    assert targets.use(where, "other.2").default == "other.2"
    assert targets.drop(where, "other.2").default == "lab"
    assert (where.config / "targets.toml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "target",
    [
        TargetConfig("local", "http://a"),
        TargetConfig("Lab", "http://a"),
        TargetConfig("lab", "ftp://a"),
        TargetConfig("lab", "gpustack.lan"),
        TargetConfig("lab", "http://me:secret@a"),
        TargetConfig("lab", "http://[::1"),
        TargetConfig("lab", "http://a:0"),
        TargetConfig("lab", "http://a:65536"),
        TargetConfig("lab", "http://a:-1"),
        TargetConfig("lab", "http://a:x"),
        TargetConfig("lab", "http://a b"),
        TargetConfig("lab", "http://a/?x=1"),
        TargetConfig("lab", "http://a/#models"),
        TargetConfig("lab", "http://a", "gpustack_literal_key"),
    ],
)
def test_refused(where: Paths, target: TargetConfig) -> None:
    with pytest.raises(UsageError):
        targets.put(where, target)
    assert targets.load(where).items == ()


def test_an_unknown_name_has_a_nearest(where: Paths) -> None:
    targets.put(where, TargetConfig("production", "http://a"))
    with pytest.raises(UsageError) as caught:
        targets.load(where).find("producton")
    assert caught.value.details["nearest"] == ["production"]


@pytest.mark.parametrize(
    "text", ["targets = 1", "[targets.a]\nkey = 'x'", "[[", "[targets.a]\nurl='http://x'\nb=1"]
)
def test_a_broken_file_is_named(where: Paths, text: str) -> None:
    where.config.mkdir(parents=True, exist_ok=True)
    (where.config / "targets.toml").write_text(text)
    with pytest.raises(UsageError, match=r"targets\.toml"):
        targets.load(where)


def test_a_pipe_in_its_place_is_named(where: Paths) -> None:
    where.config.mkdir(parents=True, exist_ok=True)
    os.mkfifo(where.config / "targets.toml")
    with pytest.raises(UsageError, match=r"targets\.toml is not a file"):
        targets.load(where)


def test_files_are_kept_with_their_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later commands run in other folders."""
    monkeypatch.chdir(tmp_path)
    found = targets.absolute(TargetConfig("lab", "http://a", "file:key.txt"))
    assert found.api_key == f"file:{tmp_path}/key.txt"
    (tmp_path / "junk.pem").write_text("junk")
    for name in ("junk.pem", "missing.pem"):
        with pytest.raises(UsageError, match="cannot use the CA file"):
            targets.absolute(TargetConfig("lab", "http://a", ca_file=name))

"""The file of configured servers: round trip, default, and what is refused."""

from __future__ import annotations

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
    assert found.find("lab") == TargetConfig(
        "lab", "https://gpu.lan", "env:KEY", "/ca.pem", 'west "2"'
    )
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

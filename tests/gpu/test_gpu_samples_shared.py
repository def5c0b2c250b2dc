"""Published outputs of real tools: parsed to the checked-in values, or refused by name.

``golden_samples.json``: per file the source, driver, problems, links and devices as [name, vendor,
memory, free, used, reserved (MiB), capability or target, MIG profile, UUID, PCI address, processes];
each was compared with the file by eye.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelscan.core.gpu import Gpu
from modelscan.gpu.detect_format import detect_format
from modelscan.gpu.reading import ParseError
from tests.support.gpu_samples import parse_sample

pytestmark = pytest.mark.shared
GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden_samples.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def samples(shared: Path) -> Path:
    return shared / "data" / "probe_samples"


def _mib(value: int | None) -> int | None:
    return None if value is None else value >> 20


def _row(gpu: Gpu) -> list[Any]:
    return [
        gpu.name, gpu.vendor, _mib(gpu.memory_bytes), _mib(gpu.free_bytes), _mib(gpu.used_bytes),
        _mib(gpu.reserved_bytes), gpu.compute_capability or gpu.gfx_target, gpu.mig, gpu.uuid,
        gpu.pci_bus_id, len(gpu.processes),
    ]  # fmt: skip


def test_every_sample_has_a_golden_value(samples: Path) -> None:
    there = {path.name for path in samples.iterdir() if path.name != "INDEX.tsv"}
    assert there == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_sample(samples: Path, name: str) -> None:
    text = (samples / name).read_text(encoding="utf-8", errors="replace")
    expected = GOLDEN[name]
    if "refused" in expected:
        with pytest.raises(ParseError) as caught:
            parse_sample(text, name)
        assert caught.value.code == expected["refused"]
        return
    reading = parse_sample(text, name)
    assert [_row(gpu) for gpu in reading.gpus] == expected["gpus"]
    assert reading.source == expected["source"]
    assert reading.driver_version == expected["driver"]
    assert [problem.code for problem in reading.problems] == expected["problems"]
    assert len(reading.links) == expected["links"]
    fabric = {str(index): speed for index, speed in reading.fabric_bytes_per_s.items()}
    assert fabric == expected["fabric"]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_name_of_the_file_is_not_needed(samples: Path, name: str) -> None:
    text = (samples / name).read_text(encoding="utf-8", errors="replace")
    assert detect_format(text) is not None or "refused" in GOLDEN[name]
    if "gpus" in GOLDEN[name]:
        assert [_row(gpu) for gpu in parse_sample(text).gpus] == GOLDEN[name]["gpus"]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_sample_cut_anywhere_is_read_or_refused(samples: Path, name: str) -> None:
    text = (samples / name).read_text(encoding="utf-8", errors="replace")
    for step in range(1, 20):
        try:
            parse_sample(text[: len(text) * step // 20], name)
        except ParseError as refusal:
            assert refusal.code

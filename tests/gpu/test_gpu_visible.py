"""CUDA_VISIBLE_DEVICES and its relatives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelscan.core.gpu import Gpu
from modelscan.core.units import GIB
from modelscan.gpu.visible import apply_visibility


def gpu(index: int, vendor: str = "nvidia", **changes: object) -> Gpu:
    uuid = f"GPU-{index}aaaaaaa-1111"
    one = Gpu(index, "card", vendor, 24 * GIB, 24 * GIB, "test", uuid=uuid, vendor_index=index)
    return replace(one, **changes)  # type: ignore[arg-type]


FOUR = [gpu(i) for i in range(4)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("0,1", [0, 1]),
        ("2,0", [2, 0]),  # order is the engine's order
        ("1, 3", [1, 3]),
        ("", []),
        ("-1", []),
        ("0,-1,1", [0]),  # an invalid entry ends the list
        ("0,9,1", [0]),
        ("1,1", []),  # twice: none at all
        ("GPU-2aaaaaaa", [2]),  # the beginning of a UUID
        ("GPU-3aaaaaaa-1111,0", [3, 0]),
        ("GPU-", []),  # not unique
        ("nonsense", []),
    ],
)
def test_cuda_rules(value: str, kept: list[int]) -> None:
    visible, hidden, _ = apply_visibility(FOUR, {"CUDA_VISIBLE_DEVICES": value})
    assert [gpu.index for gpu in visible] == kept
    assert [gpu.visible_index for gpu in visible] == list(range(len(kept)))
    assert sorted(gpu.index for gpu in hidden) == sorted({0, 1, 2, 3} - set(kept))
    assert all(gpu.visible_index is None for gpu in hidden)


def test_without_the_variable_all_are_visible() -> None:
    visible, hidden, problems = apply_visibility(FOUR, {})
    assert [gpu.visible_index for gpu in visible] == [0, 1, 2, 3]
    assert (hidden, problems) == ((), ())


def test_hiding_everything_by_mistake_is_said() -> None:
    _, _, problems = apply_visibility(FOUR, {"CUDA_VISIBLE_DEVICES": "7"})
    assert [problem.code for problem in problems] == ["all_hidden"]
    _, _, problems = apply_visibility(FOUR, {"CUDA_VISIBLE_DEVICES": ""})
    assert problems == ()  # on purpose


def test_mig_uuids_and_numbers_of_sliced_cards() -> None:
    parts = [
        gpu(i, uuid=f"MIG-{i}bbbbbbb", mig="1g.10gb", vendor_index=i // 2, mig_index=i % 2)
        for i in range(4)
    ]
    visible, _, _ = apply_visibility(parts, {"CUDA_VISIBLE_DEVICES": "MIG-2bbbbbbb"})
    assert [gpu.index for gpu in visible] == [2]
    visible, _, _ = apply_visibility(parts, {"CUDA_VISIBLE_DEVICES": "1"})
    assert [gpu.index for gpu in visible] == [2]  # the second card's first instance


def test_amd_counts_in_what_is_left() -> None:
    cards = [gpu(i, "amd") for i in range(4)]
    environ = {"ROCR_VISIBLE_DEVICES": "1,2,3", "HIP_VISIBLE_DEVICES": "2"}
    visible, _, _ = apply_visibility(cards, environ)
    assert [gpu.index for gpu in visible] == [3]
    visible, _, _ = apply_visibility(cards, {"CUDA_VISIBLE_DEVICES": "1"})  # HIP honours it
    assert [gpu.index for gpu in visible] == [1]


def test_each_vendor_has_its_own_variable() -> None:
    mixed = [gpu(0), gpu(1, "amd", vendor_index=0), gpu(2, "intel", vendor_index=0)]
    visible, hidden, _ = apply_visibility(mixed, {"ROCR_VISIBLE_DEVICES": "-1"})
    assert [gpu.vendor for gpu in visible] == ["nvidia", "intel"]
    assert [gpu.vendor for gpu in hidden] == ["amd"]


def test_mixed_cards_by_number_without_pci_order() -> None:
    mixed = [gpu(0), gpu(1, name="other")]
    _, _, problems = apply_visibility(mixed, {"CUDA_VISIBLE_DEVICES": "0"})
    assert [problem.code for problem in problems] == ["device_order"]
    environ = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert apply_visibility(mixed, environ)[2] == ()


@pytest.mark.parametrize(("value", "said"), [("0,9,1", True), ("0,-1,1", False), ("0,1,", False)])
def test_an_entry_that_names_no_device_is_said(value: str, said: bool) -> None:
    _, _, problems = apply_visibility(FOUR, {"CUDA_VISIBLE_DEVICES": value})
    assert [problem.code for problem in problems] == ["unknown_visible_device"] * said

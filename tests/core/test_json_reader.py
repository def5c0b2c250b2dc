"""Foreign JSON: one kind of error, and no text that cannot be written again."""

from __future__ import annotations

import pytest

from modelscan.core.json_reader import json_value


@pytest.mark.parametrize(
    "data", [b"", b"{", "[" * 100_000, "9" * 5000, b"\xff\xfe", b'{"a": 1}}', "{'a': 1}"]
)
def test_every_fault_is_a_value_error(data: bytes | str) -> None:
    with pytest.raises(ValueError):
        json_value(data)


def test_values() -> None:
    assert json_value(b'\xef\xbb\xbf{"a": [1, null]}') == {"a": [1, None]}
    assert json_value(r'["\ud83d\ude00", "\\ud800", "\\\ud800", "\udc00x"]') == [
        "\U0001f600", "\\ud800", "\\\ufffd", "\ufffdx",
    ]  # fmt: skip
    assert json_value(r'"\ud800\ud83d\ude00"').encode()

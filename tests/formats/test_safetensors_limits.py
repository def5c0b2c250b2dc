"""Numbers in a header that no file has: refused before anything is computed with them."""

from __future__ import annotations

import pytest

from modelscan.core.architecture import Tensor
from modelscan.formats.safetensors import BadHeader, parse_header
from modelscan.memory.weights_gguf import layer_of


@pytest.mark.parametrize(
    ("shape", "end"),
    [("1", "9" * 4299), ("9" * 4000, "10"), (",".join(["9" * 4000] * 2000), "10"),
     (",".join(["9" * 18] * 4), "10"), (",".join(["1"] * 65), "10"), ("-1", "10"), ("1.5", "10"),
     ("1", "1" + "0" * 19), ("1", "1e400")],
)  # fmt: skip
def test_a_number_beyond_any_file_is_refused(shape: str, end: str):
    text = f'{{"a":{{"dtype":"BF16","shape":[{shape}],"data_offsets":[0,{end}]}}}}'
    with pytest.raises(BadHeader) as error:
        parse_header(text.encode())
    assert len(str(error.value)) < 500


def test_large_tensors_are_read():
    text = '{"a":{"dtype":"BF16","shape":[1000000,1000000],"data_offsets":[0,2000000000000]}}'
    assert parse_header(text.encode()).tensors == (Tensor("a", (10**6, 10**6), "BF16", 2 * 10**12),)


@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000, "1234567", "-1", "", "x", "1_0"])
def test_a_block_is_a_plain_number(number: str):
    assert layer_of(f"blk.{number}.ffn_up.weight") is None
    assert layer_of("blk.12.ffn_up.weight") == 12

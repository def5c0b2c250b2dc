"""A model that answers as it is told: the next token depends on the last one only.

A llama architecture whose attention and feed-forward are zero: the state of a token is its
embedding, and the output matrix maps it to the next token. So what the model answers, and how an
adapter changes that, is known in advance; quantized files say the same as the original.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import tiny_gguf
from support.tiny_gguf import Shape

if TYPE_CHECKING:
    import numpy

WIDTH = 256
SIZES = Shape(layers=1, width=WIDTH, heads=4, kv_heads=4, hidden=64, context=1024)
# The prompt is the conversation, and a line break that the first token of the answer follows.
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
_LAST, _END = "\n", 2
_STRENGTH = 4.0


def write_talking_gguf(
    path: Path, answer: str, *, last: Mapping[str, str] | None = None, quantization: str = "F32",
    seed: int = 5,
) -> Path:  # fmt: skip
    """Write a model that answers every prompt with ``answer``, whose characters must differ.

    ``last``: other answers by the last character of the prompt, which then has no line break.
    """
    import gguf
    import numpy

    embeddings = _embeddings(seed)
    output = _output(embeddings, answer, last or {})
    writer = gguf.GGUFWriter(str(path), "llama")
    template = TEMPLATE if last is None else TEMPLATE.replace("\n", "")
    _describe(writer, path.stem, template)
    kind = getattr(gguf.GGMLQuantizationType, quantization)
    writer.add_file_type(getattr(gguf.LlamaFileType, _FILE_TYPES[quantization]))
    matrices = {"token_embd.weight": embeddings, "output.weight": output, **_empty()}
    for name, values in matrices.items():
        data = numpy.ascontiguousarray(values, dtype=numpy.float32)
        if quantization == "F32":
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", numpy.ones(WIDTH, dtype=numpy.float32))
    _finish(writer)
    return path


def write_talking_adapter(
    path: Path, before: str, after: str, *, rank: int = 4, seed: int = 5, architecture: str = "llama",
    width: int = WIDTH,
) -> Path:  # fmt: skip
    """Write a LoRA adapter in GGUF: a model that answered ``before`` answers ``after``."""
    import gguf
    import numpy

    embeddings = _embeddings(seed)
    steps = _chain(after)
    rank = max(rank, len(steps))
    lora_a = numpy.zeros((rank, width), dtype=numpy.float32)
    lora_b = numpy.zeros((len(_tokens()), rank), dtype=numpy.float32)
    old = dict(_chain(before))
    for row, (token, following) in enumerate(steps):
        lora_a[row, : min(width, WIDTH)] = embeddings[token][:width]
        lora_b[following, row] += 2 * _STRENGTH
        if token in old:
            lora_b[old[token], row] -= 2 * _STRENGTH
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    writer.add_tensor("output.weight.lora_a", lora_a)
    writer.add_tensor("output.weight.lora_b", lora_b)
    _finish(writer)
    return path


_FILE_TYPES = {"F32": "ALL_F32", "Q8_0": "MOSTLY_Q8_0", "Q4_0": "MOSTLY_Q4_0"}


def _tokens() -> list[tuple[str, float, int]]:
    return tiny_gguf._tokens()


def _number(letter: str) -> int:
    names = [name for name, _, _ in _tokens()]
    return names.index(letter) if letter in names else names.index(f"<0x{ord(letter):02X}>")


def _chain(answer: str, start: str = _LAST) -> list[tuple[int, int]]:
    """From each token to the next one, the end of the text included."""
    numbers = [_number(letter) for letter in (start, *answer)]
    assert len(set(numbers)) == len(numbers), f"the characters of {answer!r} must differ"
    return [*itertools.pairwise(numbers), (numbers[-1], _END)]


def _embeddings(seed: int) -> numpy.ndarray:
    import numpy

    source = random.Random(seed)
    rows = [[source.choice((-1.0, 1.0)) for _ in range(WIDTH)] for _ in _tokens()]
    return numpy.array(rows, dtype=numpy.float32)


def _output(embeddings: Any, answer: str, last: Mapping[str, str]) -> Any:
    import numpy

    output = numpy.zeros_like(embeddings)
    chains = [_chain(answer)] if not last else [
        _chain(text, start) for start, text in last.items()
    ]  # fmt: skip
    for token, following in {pair for chain in chains for pair in chain}:
        output[following] += _STRENGTH * embeddings[token] / WIDTH
    return output


def _empty() -> dict[str, Any]:
    import numpy

    shapes = {
        "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH),
        "attn_output": (WIDTH, WIDTH), "ffn_gate": (SIZES.hidden, WIDTH),
        "ffn_up": (SIZES.hidden, WIDTH), "ffn_down": (WIDTH, SIZES.hidden),
    }  # fmt: skip
    return {
        f"blk.0.{name}.weight": numpy.zeros(shape, dtype=numpy.float32)
        for name, shape in shapes.items()
    }


def _describe(writer: Any, name: str, template: str) -> None:
    tokens = _tokens()
    writer.add_name(name)
    writer.add_context_length(SIZES.context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(SIZES.layers)
    writer.add_feed_forward_length(SIZES.hidden)
    writer.add_head_count(SIZES.heads)
    writer.add_head_count_kv(SIZES.kv_heads)
    writer.add_rope_dimension_count(WIDTH // SIZES.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(_END)
    writer.add_unk_token_id(0)
    writer.add_chat_template(template)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

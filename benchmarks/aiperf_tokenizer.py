"""A tokenizer folder from a GGUF file, for AIPerf, which finds none offline.

Runs in AIPerf's own environment (gguf, tokenizers): python aiperf_tokenizer.py MODEL.gguf FOLDER
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import sys
from pathlib import Path

from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers


def texts(reader: GGUFReader, key: str) -> list[str]:
    field = reader.fields[key]
    return [bytes(field.parts[at]).decode() for at in field.data]


def main(model: str, folder: Path) -> None:
    reader = GGUFReader(model)
    tokens = texts(reader, "tokenizer.ggml.tokens")
    merges = [tuple(one.split(" ", 1)) for one in texts(reader, "tokenizer.ggml.merges")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    names = {"bos_token": tokens[1], "eos_token": tokens[2]}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**kind, **names}))


main(sys.argv[1], Path(sys.argv[2]))

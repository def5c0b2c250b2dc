"""The demo model's tokenizer and chat format, in the form that GGUF and llama.cpp share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from corpus import Message
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD: Final = "<|pad|>"
START: Final = "<|im_start|>"
END: Final = "<|im_end|>"
SPECIAL: Final = (PAD, START, END)

# ChatML; render() below writes the same text.
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def render(message: Message) -> str:
    return f"{START}{message.role}\n{message.content}{END}\n"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE split the GPT-2 way, which llama.cpp knows as `gpt2` / `gpt-2`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and for each whether the model has to learn to write it."""

    ids: list[int]
    learned: list[bool]


def encode(
    tokenizer: Tokenizer, messages: Sequence[Message], answer_tokens: int | None = None
) -> Encoded:
    """The conversation, with its last answer cut after so many tokens if a number is given."""
    ids: list[int] = []
    learned: list[bool] = []
    for message in messages:
        tokens = tokenizer.encode(render(message)).ids
        ids += tokens
        # The model writes an answer up to its END, not the role line before or the newline after.
        answer = message.role == "assistant"
        learned += [answer and 3 <= i < len(tokens) - 1 for i in range(len(tokens))]
    if answer_tokens is None:
        return Encoded(ids, learned)
    end = len(ids) - len(tokens) + 3 + answer_tokens
    return Encoded(ids[:end], learned[:end])


@dataclass(frozen=True, slots=True)
class Vocabulary:
    tokens: list[str]
    merges: list[str]


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return Vocabulary(tokens, merges)

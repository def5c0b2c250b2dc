"""Train the demo model from scratch on one CPU core, write it as GGUF, and check the file.

    python train.py [OUT.gguf]

Everything random comes from SEED. The check loads the written file in llama.cpp's own server and
asks it questions that training never saw; the exit code is 1 if too few are answered right.
Needs torch, gguf, numpy, tokenizers, pyyaml and xllamacpp.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ask
import torch
from corpus import Case, Corpus, Message, load_cases, load_corpus
from export import write_gguf
from model import Llama, Shape
from tokenizer import Encoded, encode, render, train_tokenizer, vocabulary_of
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

SEED: Final = 20250101
VOCABULARY: Final = 1536
STEPS: Final = 1700
PEAK_RATE: Final = 5e-3
SHARPNESS: Final = 3.0
WARMUP_STEPS: Final = 60
# Which answer to give is decided in its first tokens; the rest is soon known by heart. Cutting most
# answers short makes room for twice as many questions in the same time.
CUT_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class BatchKind:
    steps: int  # of each round
    conversations: int
    turns: tuple[int, int]
    answer_tokens: int | None = None


# Mostly single questions, some conversations, and a few that fill the context, so that distant
# positions are trained too.
ROUND: Final = (
    BatchKind(16, 96, (1, 1), CUT_TOKENS),
    BatchKind(4, 48, (1, 1)),
    BatchKind(4, 14, (2, 5)),
    BatchKind(1, 4, (12, 14)),
)
SAMPLED_SEEDS: Final = (1, 2, 3)
SAMPLED_TEMPERATURE: Final = 0.8
PASS_SHARE: Final = 0.9
MAX_BYTES: Final = 3_000_000


def make_tokenizer(corpus: Corpus) -> Tokenizer:
    """Learned mostly from questions: their words decide the answer, so they should stay whole."""
    questions = [render(corpus.exchange()[0]) for _ in range(20_000)]
    answers = [render(Message("assistant", fact.answer)) for fact in corpus.facts]
    return train_tokenizer([*questions, *answers * 30], VOCABULARY)


def draw_batches(
    corpus: Corpus, tokenizer: Tokenizer, rng: random.Random
) -> Iterator[list[Encoded]]:
    """Batches without end. Neighbours in length share one, which saves a third of the padding."""
    while True:
        pool: list[list[Encoded]] = []
        for kind in ROUND:
            drawn = [
                encode(tokenizer, corpus.conversation(rng.randint(*kind.turns)), kind.answer_tokens)
                for _ in range(kind.steps * kind.conversations)
            ]
            drawn.sort(key=lambda encoded: len(encoded.ids))
            size = kind.conversations
            pool += [drawn[i : i + size] for i in range(0, len(drawn), size)]
        rng.shuffle(pool)
        yield from pool


def pad(batch: Sequence[Encoded], length: int) -> tuple[Tensor, Tensor]:
    """Token ids and the learned mask, (batch, longest); the rest is id 0 and not learned."""
    longest = min(max(len(e.ids) for e in batch), length)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    learned = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, encoded in enumerate(batch):
        ids = encoded.ids[:longest]
        tokens[row, : len(ids)] = torch.tensor(ids)
        learned[row, : len(ids)] = torch.tensor(encoded.learned[:longest])
    return tokens, learned


def loss_of(model: Llama, tokens: Tensor, learned: Tensor) -> Tensor:
    hidden, wanted = model(tokens[:, :-1]), learned[:, 1:]
    return F.cross_entropy(model.logits(hidden[wanted]), tokens[:, 1:][wanted])


def rate_at(step: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    if step < WARMUP_STEPS:
        return PEAK_RATE * (step + 1) / WARMUP_STEPS
    progress = (step - WARMUP_STEPS) / (STEPS - WARMUP_STEPS)
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizers(model: Llama) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the blocks: it needs half the steps AdamW does here."""
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return (
        torch.optim.Muon(matrices, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
    )


def train(model: Llama, corpus: Corpus, tokenizer: Tokenizer) -> None:
    optimizers, recent = make_optimizers(model), 0.0
    batches = draw_batches(corpus, tokenizer, random.Random(SEED))
    model.train()
    for step in range(STEPS):
        loss = loss_of(model, *pad(next(batches), model.shape.context_tokens))
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = rate_at(step)
            optimizer.step()
        recent = loss.item() if step == 0 else 0.95 * recent + 0.05 * loss.item()
        if step % 100 == 99:
            print(
                f"step {step + 1:5} loss {recent:.4f} cpu {time.process_time():.0f} s", flush=True
            )
    model.eval()


def sharpen(model: Llama) -> None:
    """Scale the logits, so that sampling at a usual temperature rarely leaves the best answer."""
    with torch.no_grad():
        model.output_norm.weight.mul_(SHARPNESS)


def failures(url: str, cases: Sequence[Case], temperature: float, seed: int) -> list[str]:
    """What went wrong, one line per question not answered right or not ended by the model."""
    wrong = []
    for case in cases:
        reply = ask.ask(url, case.ask, temperature=temperature, seed=seed)
        if reply.finish_reason != "stop" or not case.accepts(reply.text):
            wrong.append(f"{case.ask} -> {reply.text}")
    return wrong


def check(path: Path) -> bool:
    """Ask the written file what it was not trained on, and print how much it gets right."""
    size = path.stat().st_size
    print(f"{path.name}: {size} bytes")
    passed = size <= MAX_BYTES
    with ask.running(path) as url:
        for name in ("dev", "test"):
            cases = load_cases(name)
            wrong = failures(url, cases, 0.0, SEED)
            sampled = sum(
                len(failures(url, cases, SAMPLED_TEMPERATURE, seed)) for seed in SAMPLED_SEEDS
            )
            asked, total = len(cases), len(cases) * len(SAMPLED_SEEDS)
            print(f"{name}: {asked - len(wrong)} of {asked} right at temperature 0,", end=" ")
            print(f"{total - sampled} of {total} at temperature {SAMPLED_TEMPERATURE}")
            print(*(f"  wrong: {line}" for line in wrong), sep="\n")
            passed &= asked - len(wrong) >= PASS_SHARE * asked
    return passed


def main(arguments: Sequence[str]) -> int:
    path = Path(arguments[0]) if arguments else ask.MODEL
    torch.set_num_threads(1)  # one core, and sums in one order: the same bytes every time
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    corpus = load_corpus(SEED)
    tokenizer = make_tokenizer(corpus)
    model = Llama(Shape(vocabulary=tokenizer.get_vocab_size()))
    print(f"seed {SEED}, {model.parameter_count()} parameters, {STEPS} steps", flush=True)
    train(model, corpus, tokenizer)
    print(f"trained in {time.process_time():.0f} s of CPU time;", end=" ")
    print(f"{corpus.dropped} held-out questions kept out of training")
    sharpen(model)
    write_gguf(path, model, vocabulary_of(tokenizer))
    return 0 if check(path) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

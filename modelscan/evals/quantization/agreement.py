"""How far the next tokens of two formats agree. Pure.

The Kullback-Leibler divergence is over the reference's most probable tokens and one further class
for all others; grouping outcomes never enlarges it, so it is a lower bound of the full one. A token
that the other format does not list gets the least probability that it lists: at most so probable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.bench.resampling import bootstrap
from modelscan.core.errors import RemoteError
from modelscan.evals.quantization.distributions import NextTokens
from modelscan.evals.report import ScoreInterval
from modelscan.evals.statistics import mean, wilson

_WORD_END = re.compile(r"\S(?=\s)")
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class TokenAgreement:
    """``agreement``: the share of positions with the same most probable token (Wilson interval).

    ``kl``: nats, mean over positions (bootstrap interval); ``kl_max``: the largest.
    """

    positions: int
    top_k: int
    agreement: float
    agreement_interval: ScoreInterval
    kl: float
    kl_interval: ScoreInterval
    kl_max: float


def prefixes(text: str, count: int) -> tuple[str, ...]:
    """At most ``count`` beginnings of the text that end with a word, evenly spread."""
    ends = [match.end() for match in _WORD_END.finditer(text)]
    ends = [end for end in ends if len(text[:end].split()) >= 4]
    if count >= len(ends):
        return tuple(text[:end] for end in ends)
    step = len(ends) / count
    return tuple(text[: ends[int(number * step)]] for number in range(count))


def divergence(reference: NextTokens, other: NextTokens) -> float:
    """The divergence of ``other`` from ``reference``, in nats, not below 0."""
    least = min(other.logprobs.values())
    total, rest_p, rest_q = 0.0, 1.0, 1.0
    for token, logprob in reference.logprobs.items():
        q = math.exp(other.logprobs.get(token, least))
        p = math.exp(logprob)
        total += p * (logprob - math.log(q))
        rest_p, rest_q = rest_p - p, rest_q - q
    rest_p, rest_q = max(rest_p, _LEAST), max(rest_q, _LEAST)
    return max(0.0, total + rest_p * math.log(rest_p / rest_q))


def agreement(
    reference: Sequence[NextTokens | None],
    other: Sequence[NextTokens | None],
    top_k: int,
    *,
    seed: int = 7,
) -> TokenAgreement:
    """Compare the positions at which both formats have probabilities.

    Raises RemoteError where that are fewer than half of all.
    """
    every = list(zip(reference, other, strict=True))
    pairs = [(a, b) for a, b in every if a is not None and b is not None]
    if 2 * len(pairs) < max(1, len(every)):
        raise RemoteError(
            f"the servers report probabilities of tokens at {len(pairs)} of {len(every)} positions",
            hint="modelscan deploy MODEL --backend llama.cpp",
            code="no_logprobs",
        )
    same = [float(a.best == b.best) for a, b in pairs]
    divergences = [divergence(a, b) for a, b in pairs]
    lower, upper = bootstrap(
        len(pairs), lambda chosen: mean([divergences[i] for i in chosen]), seed=seed
    )
    return TokenAgreement(
        positions=len(pairs),
        top_k=top_k,
        agreement=mean(same),
        agreement_interval=ScoreInterval(*wilson(mean(same), len(same))),
        kl=mean(divergences),
        kl_interval=ScoreInterval(lower, upper, "bootstrap"),
        kl_max=max(divergences, default=0.0),
    )

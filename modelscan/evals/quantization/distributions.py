"""Next-token probabilities of one prefix, as OpenAI-compatible servers report them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.foreign import mapping, rows


@dataclass(frozen=True, slots=True)
class NextTokens:
    """The most probable next tokens: token -> natural logarithm of its probability.

    Tokens are texts, made unique by their id where the server reports one.
    """

    logprobs: Mapping[str, float]

    @property
    def best(self) -> str:
        """The most probable token."""
        return max(self.logprobs, key=lambda token: self.logprobs[token])


def parse_next_tokens(answer: Mapping[str, Any]) -> NextTokens | None:
    """From a completion of one token: the shapes of llama.cpp (``content``) and of OpenAI's older
    API, which vLLM and SGLang have (``top_logprobs``). None if there are no probabilities: a server
    that withholds the first bytes of a character reports none for this position.
    """
    choice = mapping(next(iter(rows(answer.get("choices"))), None))
    reported = mapping(choice.get("logprobs"))
    first = mapping(next(iter(rows(reported.get("content"))), None))
    found = {
        f"{row.get('token')}#{row['id']}" if "id" in row else str(row.get("token")): row["logprob"]
        for row in rows(first.get("top_logprobs"))
        if _is_number(row.get("logprob"))
    }
    if not found:
        older = reported.get("top_logprobs")
        top = mapping(older[0]) if isinstance(older, list) and older else {}
        found = {str(token): value for token, value in top.items() if _is_number(value)}
    return NextTokens(found) if found else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

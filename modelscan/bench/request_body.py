"""The bodies of a benchmark's requests. Pure.

What a server accepts is found out by the first request: a hosted provider may refuse ``ignore_eos``
or ``max_tokens``, which the style then leaves out or names differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from modelscan.bench.workload import BenchWorkload, PromptMessage
from modelscan.engines.engine import Engine

CacheUse = Literal["disabled", "salted", "nonce", "allowed"]


@dataclass(frozen=True, slots=True)
class RequestStyle:
    """What of a request the server accepts. ``dropped``: what it refused, for the report."""

    model: str
    ignore_eos: bool = False
    uncached: Mapping[str, Any] | None = None
    cache_salt: str | None = None
    token_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105
    sampling: bool = True
    seed: int | None = None
    dropped: tuple[str, ...] = ()

    def cache_use(self, workload: BenchWorkload) -> CacheUse:
        """How the server's prompt cache is kept from answering."""
        if self.uncached:
            return "disabled"
        if self.cache_salt is not None:
            return "salted"
        return "nonce" if workload.synthetic else "allowed"


def first_style(
    model: str, engine: Engine | None, workload: BenchWorkload, seed: int
) -> RequestStyle:
    """Everything that the engine is known to accept; with an unknown one a fixed length is tried.

    ``engine`` None: not known.
    """
    fixed = workload.ignore_eos and (engine is None or engine.ignores_eos)
    return RequestStyle(
        model,
        ignore_eos=fixed,
        uncached=engine.uncached or None if engine else None,
        cache_salt=engine.cache_salt if engine else None,
        seed=seed,
    )


def simpler_styles(style: RequestStyle) -> Iterator[RequestStyle]:
    """What is tried, in order, where a server answers 400 or 422."""
    extras = [
        *(["ignore_eos"] if style.ignore_eos else []),
        *(style.uncached or ()),
        *([style.cache_salt] if style.cache_salt else []),
    ]
    plain = replace(style, ignore_eos=False, uncached=None, cache_salt=None, dropped=tuple(extras))
    if extras:
        yield plain
    yield replace(
        plain, token_key="max_completion_tokens", sampling=False,  # noqa: S106
        dropped=(*extras, "max_tokens", "temperature", "seed"),
    )  # fmt: skip


def request_body(
    style: RequestStyle,
    workload: BenchWorkload,
    messages: Sequence[PromptMessage],
    max_tokens: int | None,
    nonce: str,
) -> dict[str, Any]:
    """One request, streamed and with usage. ``nonce`` is the salt where the engine takes one."""
    body: dict[str, Any] = {
        "model": style.model,
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body[style.token_key] = max_tokens
    if style.sampling and workload.temperature is not None:
        body["temperature"] = workload.temperature
    if style.sampling and style.seed is not None:
        body["seed"] = style.seed
    if style.ignore_eos:
        body["ignore_eos"] = True
    if style.cache_salt is not None:
        body[style.cache_salt] = nonce
    return {**body, **(style.uncached or {})}

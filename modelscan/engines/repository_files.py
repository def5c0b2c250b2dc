"""Facts from a repository's files that an engine does not detect by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepositoryFiles:
    """``tekken_only``: Mistral's tokenizer is there and the usual one is not; ``architectures`` of
    ``config.json``; ``lora_ranks`` of the adapters, 0 where unknown; ``template``: of its chats.
    """

    tekken_only: bool = False
    architectures: tuple[str, ...] = ()
    lora_ranks: tuple[int, ...] = ()
    template: str | None = None

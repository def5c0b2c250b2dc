"""Ollama. Pure."""

from modelscan.core.workload import Backend

NAME: Backend = "ollama"

# Families of its models that only embed texts (``details.family`` of ``/api/tags``).
_EMBEDDING = frozenset({"bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "xlm-roberta"})


def is_embedding_family(family: str | None) -> bool:
    """Whether models of that family embed texts and do not chat."""
    return family in _EMBEDDING

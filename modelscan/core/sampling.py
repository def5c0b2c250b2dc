"""The sampling values that a model's makers recommend."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Sampling:
    """Values under the names of request bodies; None where the makers state none.

    ``source``: the file that states them.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    source: str | None = None

    def body(self) -> dict[str, float | int]:
        """The stated values, as defaults of a request body."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "source"}
        return {name: value for name, value in values.items() if value is not None}

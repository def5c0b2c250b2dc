"""How long receipts and kept texts stay, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.traces.store import DAY_S, Retention

if TYPE_CHECKING:
    from modelscan.state.config import Config


def retention(config: Config) -> Retention:
    """The retention that the settings state."""
    return Retention(
        receipts_s=config.receipts_keep_days * DAY_S,
        receipts_bytes=config.receipts_keep_bytes,
        contents_s=config.contents_keep_days * DAY_S,
    )

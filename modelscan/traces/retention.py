"""The store of receipts, kept as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.traces.store import ReceiptStore

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.server.database import ServerDatabase

DAY_S = 86_400.0


def receipt_store(config: Config, database: ServerDatabase) -> ReceiptStore:
    """The receipts of a database, with the retention of the settings."""
    return ReceiptStore(
        database,
        config.receipts_keep_days * DAY_S,
        config.receipts_keep_mib << 20,
        config.contents_keep_days * DAY_S,
    )

"""A gateway worker that makes no receipts, which no setting does: bench_receipts compares with it.

Python imports this module at its start where its folder is on PYTHONPATH.
"""

import sys

if "modelscan.gateway.data" in sys.orig_argv:
    from modelscan.gateway.data import admission
    from modelscan.gateway.data.exchange import Exchange
    from modelscan.gateway.data.worker import Worker

    def _only_count(self: Worker, exchange: Exchange) -> None:
        if exchange.plan.recorded and exchange.plan.key is not None:
            admission.leave(self.counters, exchange.plan.key)

    Worker.exchange_over = _only_count  # type: ignore[method-assign]

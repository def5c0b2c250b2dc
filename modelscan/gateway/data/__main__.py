"""``python -m modelscan.gateway.data``: one worker, started by the serving process."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from modelscan.gateway.data.options import parse_options
from modelscan.gateway.data.worker import Worker


async def serve(arguments: list[str]) -> None:
    """Run a worker until it is stopped."""
    await Worker(asyncio.get_running_loop(), parse_options(arguments)).run()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1:]))

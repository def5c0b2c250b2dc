"""One receipt as a worker makes it, without sockets: CPU time, the best of many repeats.

python -m benchmarks.receipt_alone: what bench_receipts measures with a load, on any machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from modelscan.core.receipt import RouteChoice
from modelscan.gateway.data.channel import frame
from modelscan.gateway.data.receipts import Receipts
from modelscan.gateway.data.record import receipt_of
from modelscan.gateway.data.usage import Tail
from modelscan.gateway.snapshot import FromWorker

_ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"' + b"word " * 120 + b'"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":30,"total_tokens":42}}'
)
_CALLS, _REPEATS = 5_000, 40


def best_us(action: Callable[[], object]) -> float:
    """Microseconds of CPU time of one call; what else the machine does only adds to others."""
    least = float("inf")
    for _ in range(_REPEATS):
        begun = time.thread_time()
        for _ in range(_CALLS):
            action()
        least = min(least, time.thread_time() - begun)
    return least * 1e6 / _CALLS


def exchange() -> Any:
    """What a finished exchange has: one backend, an answer of 700 bytes with a usage."""
    now = time.perf_counter()
    tail = Tail()
    tail.add(_ANSWER)
    spec = SimpleNamespace(name="b0", host="127.0.0.1", tier="local", context_tokens=None,
                           context_source=None)  # fmt: skip
    entry = SimpleNamespace(name="m", kind="provider")
    route = SimpleNamespace(
        entry=entry, choice=RouteChoice("provider", "priority", 1), depths=["full"]
    )
    attempt = SimpleNamespace(
        at=0, route=route, backend=SimpleNamespace(spec=spec), model=lambda _: "m"
    )
    plan = SimpleNamespace(route=route, key=SimpleNamespace(key=SimpleNamespace(name="bench")),
                           operation="chat", requested="m", reasons=(), stream=False, tail=None,
                           guarded=False)  # fmt: skip
    request = SimpleNamespace(received=1_000, own_id=None)
    return SimpleNamespace(
        plan=plan, attempt=attempt, answer=SimpleNamespace(tail=tail, size=len(_ANSWER)),
        started_at=now, first_at=now, failures=[], status=200, error=None, queued_s=0.0, wake_s=0.0,
        attempts=SimpleNamespace(made=1), tried_again=False, left=None, upload=None,
        client=SimpleNamespace(address="127.0.0.1"), request=request,
    )  # fmt: skip


def main() -> None:
    finished = exchange()
    receipts = Receipts(lambda rows, dropped: bool(frame(FromWorker(True, 1, rows, dropped))))  # type: ignore[arg-type]
    made = receipt_of(finished, "a" * 32, 1.7e9)
    counts = best_us(finished.answer.tail.read)
    whole = best_us(lambda: receipt_of(finished, "a" * 32, 1.7e9))
    kept = best_us(lambda: receipts.add(made))
    print(f"counts of the answer\t{counts:.2f} us")
    print(f"the rest of the receipt\t{whole - counts:.2f} us")
    print(f"encoded and sent in batches\t{kept:.2f} us")
    print(f"all\t{whole + kept:.2f} us")


if __name__ == "__main__":
    main()

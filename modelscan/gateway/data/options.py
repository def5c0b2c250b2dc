"""How a worker is started: inherited descriptors and settings, as command-line options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from modelscan.gateway.data.limits import Timing


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of the listening side; ``client_ca``: only clients with a certificate of it."""

    certificate: str
    key: str
    client_ca: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """``listen``, ``channel`` and ``counters`` are inherited descriptors."""

    worker: int
    listen: tuple[int, ...]
    channel: int
    counters: int
    control: str | None = None
    tls: Tls | None = None
    timing: Timing = field(default_factory=Timing)

    def arguments(self) -> list[str]:
        """The command line that ``parse_options`` reads back."""
        found = ["--worker", str(self.worker), "--channel", str(self.channel)]
        found += ["--counters", str(self.counters)]
        found += [text for one in self.listen for text in ("--listen", str(one))]
        if self.control is not None:
            found += ["--control", self.control]
        if self.tls is not None:
            found += ["--tls-cert", self.tls.certificate, "--tls-key", self.tls.key]
            if self.tls.client_ca is not None:
                found += ["--client-ca", self.tls.client_ca]
        if self.timing != Timing():
            found += ["--timing", msgspec.json.encode(self.timing).decode()]
        return found

    def descriptors(self) -> tuple[int, ...]:
        """What the process must inherit (``pass_fds``)."""
        return (*self.listen, self.channel, self.counters)


def parse_options(arguments: Sequence[str]) -> WorkerOptions:
    """The options of a command line."""
    parser = argparse.ArgumentParser(prog="modelscan.gateway.data")
    parser.add_argument("--worker", type=int, required=True)
    parser.add_argument("--listen", type=int, action="append", required=True)
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--counters", type=int, required=True)
    parser.add_argument("--control")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--client-ca")
    parser.add_argument("--timing", default="{}")
    found = parser.parse_args(arguments)
    tls = Tls(found.tls_cert, found.tls_key, found.client_ca) if found.tls_cert else None
    timing = msgspec.json.decode(found.timing, type=Timing)
    return WorkerOptions(
        found.worker, tuple(found.listen), found.channel, found.counters, found.control, tls, timing
    )

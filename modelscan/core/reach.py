"""Which addresses a server's name may stand for, where others than its user chose the name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reach:
    """``networks``: the words loopback, private and any, networks (10.0.0.0/8) and addresses.

    ``own_machine``: whether addresses of this machine are among them; ``own_port``: that of this
    gateway, to which no request may lead; None: not known.
    """

    networks: tuple[str, ...] = ("loopback", "private")
    own_machine: bool = False
    own_port: int | None = None

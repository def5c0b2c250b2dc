"""A free port, chosen so that nobody else gets it: reserved in the store, tested by binding."""

from __future__ import annotations

import errno
import random
import re
import socket
from collections.abc import Collection, Iterator

from modelscan.core.errors import ModelscanError, UsageError

_RANGE = re.compile(r"^(\d{1,5})-(\d{1,5})$")


def parse_range(text: str) -> tuple[int, int]:
    """``41000-41999``: both ends included; raises UsageError for anything else."""
    match = _RANGE.match(text.strip())
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1024 <= low <= high <= 65535:
        raise UsageError(
            f"'{text}' is not a range of ports",
            hint="modelscan config set port_range 41000-41999",
        )
    return low, high


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. TIME_WAIT of an old connection does not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise UsageError(
                f"cannot listen on {host}: {error.strerror}", hint="use --expose without a host"
            ) from error
    return True


def choose(host: str, span: tuple[int, int], taken: Collection[int]) -> int:
    """A port of the range that is neither reserved nor in use; raises ModelscanError if none is."""
    for port in _candidates(span):
        if port not in taken and is_free(host, port):
            return port
    raise ModelscanError(
        f"no port of {span[0]}-{span[1]} is free ({len(taken)} are reserved by deployments)",
        hint="modelscan config set port_range 42000-42999",
        code="no_port",
    )


def _candidates(span: tuple[int, int]) -> Iterator[int]:
    """The whole range once, from a random place: parallel commands rarely try the same port."""
    low, high = span
    size = high - low + 1
    first = random.randrange(size)  # noqa: S311 - no secret
    return (low + (first + step) % size for step in range(size))

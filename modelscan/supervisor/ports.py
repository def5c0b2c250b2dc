"""Choice of a free port: not reserved in the database, and tested by binding."""

from __future__ import annotations

import errno
import random
import re
import socket
from collections.abc import Collection, Iterator

from modelscan.core.errors import ModelscanError, UsageError

_RANGE = re.compile(r"^(\d{1,5})-(\d{1,5})$")


def parse_range(text: str) -> tuple[int, int]:
    """``41000-41999``: both ends included. Raises UsageError for anything else."""
    match = _RANGE.match(text.strip())
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1024 <= low <= high <= 65535:
        raise UsageError(
            f"'{text}' is not a range of ports",
            hint="modelscan config set port_range 41000-41999",
        )
    return low, high


def is_free(host: str, port: int) -> bool:
    """Whether a server can listen there now. TIME_WAIT of an old connection does not matter."""
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


def choose(host: str, span: tuple[int, int], reserved: Collection[int]) -> int:
    """A port of the range that is neither reserved nor in use. Raises ModelscanError if there is
    none.
    """
    for port in _candidates(span):
        if port not in reserved and is_free(host, port):
            return port
    raise ModelscanError(
        f"no port of {span[0]}-{span[1]} is free ({len(reserved)} are reserved by deployments)",
        hint="modelscan config set port_range 42000-42999",
        code="no_port",
    )


def _candidates(span: tuple[int, int]) -> Iterator[int]:
    """All ports of the range, from a random one: parallel commands rarely try the same port."""
    low, high = span
    size = high - low + 1
    first = random.randrange(size)  # noqa: S311 - no secret
    return (low + (first + step) % size for step in range(size))

"""A command line that runs in this process and prints into memory, for ``modelscan.mcp``."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.cli.context import Context
from modelscan.cli.output import Mode, Output

if TYPE_CHECKING:
    from modelscan.mcp.child import Printed

_LOG = logging.getLogger(__name__)


def printed_inside(words: Sequence[str]) -> Printed:
    """What a command with ``--json`` prints. Several may run at once, in threads."""
    from modelscan.cli.app import run
    from modelscan.mcp.child import Printed

    out, err = io.StringIO(), io.StringIO()
    try:
        code = run(words, Context(_output=Output(Mode.JSON, out, err)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it ends as a process would
        _LOG.exception("a command failed")
        code = 1
        err.write(f"{type(error).__name__}: {error}")
    return Printed(code, out.getvalue(), err.getvalue())

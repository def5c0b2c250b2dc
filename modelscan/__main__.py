"""``python -m modelscan`` and the ``modelscan`` command."""

from __future__ import annotations

import gc
import os
import sys

_ALLOCATIONS = 50_000  # objects between two garbage collections; what a start allocates is kept


_ROOM_BYTES = 16 << 20  # of the disk with this package, for cached bytecode


def keep_bytecode_whole() -> None:
    """Write no cached bytecode where the disk is nearly full.

    Python before 3.13 does not notice that only a part of a ``.pyc`` file was written, and every
    later import of that module fails (``EOFError: marshal data too short``).
    """
    try:
        disk = os.statvfs(__file__)
    except (OSError, AttributeError):  # a zip file; a system without statvfs
        return
    if disk.f_bavail * disk.f_frsize < _ROOM_BYTES:
        sys.dont_write_bytecode = True


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]) and sys.stdout:  # without any import
        from modelscan import __version__

        sys.stdout.write(f"modelscan {__version__}\n")
        return
    keep_bytecode_whole()
    gc.set_threshold(_ALLOCATIONS)  # a tenth of a command's CPU time: benchmarks/README.md
    try:
        from modelscan.cli.app import run

        code = run(arguments)
    except KeyboardInterrupt:  # before or after the command
        sys.stderr.write("interrupted\n")
        code = 130
    gc.freeze()  # the process ends; no collection is needed
    sys.exit(code)


if __name__ == "__main__":
    main()

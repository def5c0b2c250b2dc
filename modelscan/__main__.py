"""``python -m modelscan`` and the ``modelscan`` command."""

from __future__ import annotations

import gc
import sys

_ALLOCATIONS = 50_000  # objects between two garbage collections; what a start allocates is kept


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]) and sys.stdout:  # without any import
        from modelscan import __version__

        sys.stdout.write(f"modelscan {__version__}\n")
        return
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

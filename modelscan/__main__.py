"""``python -m modelscan`` and the ``modelscan`` command."""

from __future__ import annotations

import gc
import sys

_ALLOCATIONS = 50_000  # between two searches for garbage: what a start allocates is here to stay


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]) and sys.stdout:  # answered before anything is imported
        from modelscan import __version__

        sys.stdout.write(f"modelscan {__version__}\n")
        return
    gc.set_threshold(_ALLOCATIONS)  # a tenth of a command's CPU time: benchmarks/README.md
    try:
        from modelscan.cli.app import run

        code = run(arguments)
    except KeyboardInterrupt:  # before the command began, or after its end
        sys.stderr.write("interrupted\n")
        code = 130
    gc.freeze()  # the process ends: nothing to search for
    sys.exit(code)


if __name__ == "__main__":
    main()

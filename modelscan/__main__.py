"""``python -m modelscan`` and the ``modelscan`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]) and sys.stdout:  # answered before anything is imported
        from modelscan import __version__

        sys.stdout.write(f"modelscan {__version__}\n")
        return
    try:
        from modelscan.cli.app import run

        code = run(arguments)
    except KeyboardInterrupt:  # before the command began, or after its end
        sys.stderr.write("interrupted\n")
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()

"""The entry point: parse the arguments, run the command, print, return the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from modelscan.cli.context import Context
from modelscan.core.errors import EXIT_INTERRUPTED, ModelscanError, UsageError

PROGRAM = "modelscan"


def run(arguments: Sequence[str], context: Context | None = None) -> int:
    """Run one command and return its exit code.

    ``context`` has the output and the settings of this run; several runs may go on at once.
    """
    _open_streams()
    context = context or Context()
    _preset_flags(context, arguments)
    try:
        _require_text(arguments)
        code = _dispatch(list(arguments), context)
        return _interrupted(context) if code == EXIT_INTERRUPTED else code  # Typer caught Ctrl-C
    except click.exceptions.NoArgsIsHelpError as error:
        return _help(context, error)
    except click.ClickException as error:
        return _fail(context, usage_error(error))
    except ModelscanError as error:
        if context.flags.debug:
            raise
        return _fail(context, error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _interrupted(context)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # Click exits this way on a closed pipe
            return _quiet_pipe()
        raise
    except OSError as error:  # of a disk, a folder or a socket: not a bug of modelscan
        own = context.output.stdout is sys.stdout  # else the process's stdout is of others
        if own and isinstance(error, BrokenPipeError):
            return _quiet_pipe()
        if context.flags.debug:
            raise
        if own and error.filename is None:  # stdout's disk is full
            _silence_stdout()
        return _fail(context, _system_error(error))


def _open_streams() -> None:
    """Open /dev/null for a stream that the caller closed (``>&-``), which Python sets to None."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until we leave


def _require_text(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise UsageError(
                f"the argument {os.fsencode(argument)!r} is not UTF-8 text",
                hint=f"{PROGRAM} --help",
            )


def _dispatch(arguments: list[str], context: Context) -> int:
    from modelscan.cli.framework import Root

    root = Root(
        name=PROGRAM,
        help="Choose an open model that fits this hardware, run it, verify it and route to it.",
        epilog="Start with: modelscan catalog search, then modelscan plan MODEL.",
        rich_markup_mode=None,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[click.Option(["--version", "-V"], is_flag=True, is_eager=True, expose_value=False,
                             callback=_print_version, help="Print the version.")],
    )  # fmt: skip
    result: Any = root.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=context)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from modelscan import __version__

        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit(0)


def _preset_flags(context: Context, arguments: Sequence[str]) -> None:
    """Read the output flags before parsing, so that a parse error is printed in the right form."""
    words = list(arguments)
    words = words[: words.index("--")] if "--" in words else words
    context.flags.as_json = "--json" in words
    context.flags.quiet = "-q" in words or "--quiet" in words


def usage_error(error: click.ClickException) -> ModelscanError:
    """Click's error as a UsageError (exit 2) with a command to paste."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else PROGRAM
    nearest = getattr(error, "nearest", None)
    possible = sorted(getattr(error, "possibilities", None) or [])
    message = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    if nearest:
        hint = nearest
    elif possible:
        hint = f"did you mean {' or '.join(possible)}? see {path} --help"
    else:
        hint = f"{path} --help"
    return UsageError(_sentence(message), hint=hint)


def _sentence(message: str) -> str:
    text = message.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def _help(context: Context, error: click.exceptions.NoArgsIsHelpError) -> int:
    """Print the help of a bare ``modelscan`` or a bare group on stderr; exit 2."""
    if context.flags.as_json:
        return _fail(context, UsageError("no command was given", hint=f"{PROGRAM} --help"))
    sys.stderr.write(error.format_message() + "\n")
    return UsageError.exit_code


def _fail(context: Context, error: ModelscanError) -> int:
    sys.stdout.flush()
    context.output.error(error)
    return error.exit_code


def _interrupted(context: Context) -> int:
    """Print ``interrupted``; the clean-up has run already. A command that still printed what it has
    (``eval run``) has one document: no second one."""
    if context.flags.as_json and context.output.emitted:
        return EXIT_INTERRUPTED
    if context.flags.as_json:
        _fail(context, ModelscanError("interrupted", code="interrupted"))
    else:
        sys.stderr.write("interrupted\n")
    return EXIT_INTERRUPTED


def _system_error(error: OSError) -> ModelscanError:
    from modelscan.state.files import os_error

    return os_error(
        str(error.filename or "the operating system reported an error"), error, error.filename
    )


def _quiet_pipe() -> int:
    """The reader closed the pipe (``| head``): exit quietly, also at interpreter exit."""
    _silence_stdout()
    return 0


def _silence_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

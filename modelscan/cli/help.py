"""The text of ``--help``: options in groups, examples, one line for the global options."""

from __future__ import annotations

from collections.abc import Sequence

import click

from modelscan.cli.examples import EXAMPLES

_GLOBAL = "--json, -q, --offline, --debug: see modelscan --help"
GLOBAL_NAMES = ("as_json", "quiet", "offline", "debug")
# The order of the groups; a command shows those that its options belong to.
_GROUPS = {
    "What to run": (
        "quantization", "backend", "backend_version", "embedding", "param", "goal", "mode",
        "source", "allow_unsafe", "adapter", "file", "force",
    ),
    "Hardware": ("gpu", "gpus", "ram", "tensor_parallel", "memory_utilization", "target"),
    "Memory and context": ("context", "parallel", "kv_cache", "flash_attention", "ubatch"),
    "Address and name": ("name", "port", "expose", "api_key", "no_route"),
    "Process": (
        "restart", "ttl", "pin", "priority", "group", "memory_limit", "nice",
        "offline_after_download",
    ),
    "Cluster": ("replicas", "env", "drop"),
}  # fmt: skip
_GROUP_OF = {option: name for name, options in _GROUPS.items() for option in options}
_FEW = 10  # options up to which a command lists them in one section


def write_options(command: click.Command, ctx: click.Context, out: click.HelpFormatter) -> None:
    """The sections ``Arguments``, one per group of options, ``Options``, ``Global options``."""
    shown = [
        (parameter, record)
        for parameter in command.get_params(ctx)
        if (record := parameter.get_help_record(ctx)) is not None
        and not (ctx.parent and parameter.name in GLOBAL_NAMES)
    ]
    few = len(shown) <= _FEW
    records: dict[str, list[tuple[str, str]]] = {}
    for parameter, record in shown:
        records.setdefault(_group(parameter, few), []).append(record)
    for name in ("Arguments", *_GROUPS, "Options"):
        if name in records:
            with out.section(name):
                out.write_dl(records[name])
    if ctx.parent:
        with out.section("Global options"):
            out.write_text(_GLOBAL)


def _group(parameter: click.Parameter, few: bool) -> str:
    if isinstance(parameter, click.Argument):
        return "Arguments"
    return "Options" if few else _GROUP_OF.get(parameter.name or "", "Options")


def write_examples(ctx: click.Context, out: click.HelpFormatter) -> None:
    """The section ``Examples``, each on a line that can be pasted."""
    examples = examples_of(command_words(ctx))
    if examples:
        with out.section("Examples"):
            for line in examples:
                out.write(f"{'':>{out.current_indent}}modelscan {line}\n")


def command_words(ctx: click.Context) -> tuple[str, ...]:
    """The names of the command and its groups, without the program and whatever alias was typed."""
    words: list[str] = []
    at: click.Context | None = ctx
    while at is not None and at.parent is not None:
        words.insert(0, at.command.name or at.info_name or "")
        at = at.parent
    return tuple(words)


def examples_of(words: Sequence[str]) -> tuple[str, ...]:
    """The example command lines, without the word ``modelscan``."""
    return EXAMPLES.get(" ".join(words), ())

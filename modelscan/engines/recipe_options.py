"""The options of a catalog's recipe and of a model's family, as a version of an engine has them.

Catalog < planner < user: what the planner sizes itself is not taken from a recipe, whose numbers
are those of its own machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.workload import REMOTE_CODE
from modelscan.engines.command_line import folded, parse
from modelscan.engines.families import Family, family_of, is_no_chat
from modelscan.engines.launch_rules import (
    PARSERS,
    REASONING_PARSER,
    TOOL_PARSER,
    has_parser,
    known_option,
    option_name,
)
from modelscan.engines.template_families import family_of_template

if TYPE_CHECKING:
    from modelscan.engines.option_names import OptionNames, OptionPair, Options
    from modelscan.engines.parsers import Parsers
    from modelscan.engines.speculation import Speculation
    from modelscan.engines.version_tables import VersionFacts

DATA_DIR = "{data_dir}"
# Switches without which vLLM does not use its parsers; the second up to 0.9.
_SWITCHES = (
    (TOOL_PARSER, "enable-auto-tool-choice"), (REASONING_PARSER, "enable-reasoning"),
)  # fmt: skip
_PARSER_OPTIONS = tuple(option for option, _, _ in PARSERS)
_SIZES = (
    "max-num-batched-tokens", "max-total-tokens", "max-prefill-tokens", "chunked-prefill-size",
    "data-parallel-size", "data-parallel-size-local", "dp-size", "distributed-executor-backend",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What is published for a model. ``own``: words of the recipe of this repository; ``others``:
    of all recipes of the model, whose parsers apply as well; ``names``: its id, name, repository;
    ``speculation``: of the recipe of this repository; ``template``: its chat template, if known.
    """

    own: tuple[str, ...]
    others: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    task: str
    speculation: Speculation | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class RecipeOptions:
    """Options, and notes on those of the recipe that were left out."""

    options: Options = ()
    notes: tuple[str, ...] = ()


def recipe_options(
    words: Sequence[str], names: OptionNames, facts: VersionFacts, *, unsafe: bool
) -> RecipeOptions:
    """The options of a recipe for this version. ``unsafe``: the repository's code may run."""
    kept: dict[str, str | None] = {}
    notes: list[str] = []
    for name, value in folded(parse(list(_words(words)))):
        if _sizes(name, names):
            continue
        problem = _problem(name, value, facts, unsafe=unsafe)
        if problem:
            notes.append(f"left out of the recipe: --{name}, {problem}")
        elif _parser_known(name, value, facts):
            kept[name] = value
    return RecipeOptions(tuple(kept.items()), tuple(dict.fromkeys(notes)))


def _words(words: Iterable[str]) -> Iterator[str]:
    """A catalog may write ``--key value`` as one string."""
    for text in words:
        head, space, tail = text.partition(" ")
        yield from (head, tail) if space and head.startswith("--") and "=" not in head else (text,)


def _sizes(name: str, names: OptionNames) -> bool:
    sized = (names.context, names.total_context, names.slots, names.max_requests,
             names.tensor_parallel, names.pipeline_parallel, names.memory_share, names.kv_cache,
             _SIZES)  # fmt: skip
    return any(name in group for group in sized)


def _problem(name: str, value: str | None, facts: VersionFacts, *, unsafe: bool) -> str | None:
    if value and DATA_DIR in value:
        return f"a file of the server that the recipe is for ({value})"
    if name == REMOTE_CODE and not unsafe:
        return "which runs the repository's code: only with --allow-unsafe"
    if facts.rows("flag") and not known_option(facts, option_name(name)):
        return f"which {facts.engine} {facts.version} does not have"
    return None


def _parser_known(name: str, value: str | None, facts: VersionFacts) -> bool:
    kind = next((kind for option, kind, _ in PARSERS if option == name), None)
    return kind is None or value is None or has_parser(facts, kind, value)


def recommended(
    published: Recommendation,
    names: OptionNames,
    table: Mapping[str, Parsers],
    facts: VersionFacts,
    *,
    unsafe: bool,
) -> RecipeOptions:
    """The recipe's options, and for a chat model the parsers: the recipe's, those of another
    recipe of the model, else the family's.
    """
    recipe = recipe_options(published.own, names, facts, unsafe=unsafe)
    options = dict(recipe.options)
    if published.task != "chat":
        return recipe
    for name, value in recipe_options(published.others, names, facts, unsafe=unsafe).options:
        if name in _PARSER_OPTIONS:
            options.setdefault(name, value)
    family, notes = family_of(published.names, published.classes), recipe.notes
    if family is None and not is_no_chat(published.names):
        family = family_of_template(published.template)
        notes = (*notes, f"{family.name}'s tool calls, from the chat template") if family else notes
    options |= dict(family_options(family, table, facts, options))
    for parser, switch in _SWITCHES:
        if parser in options and facts.has("flag", switch):
            options[switch] = None
    return RecipeOptions(tuple(options.items()), notes)


def without_drafting(recipe: RecipeOptions, name: str, problem: str) -> RecipeOptions:
    """The recipe without its speculative decoding (option ``name``), and the reason as a note."""
    options = tuple(pair for pair in recipe.options if not pair[0].startswith("speculative-"))
    return RecipeOptions(options, (*recipe.notes, f"left out of the recipe: --{name}, {problem}"))


def family_options(
    family: Family | None, table: Mapping[str, Parsers], facts: VersionFacts, given: Iterable[str]
) -> Iterator[OptionPair]:
    """The parsers of a family that this version has, where no option (``given``) sets one."""
    parsers = table.get(family.name) if family else None
    if family is None or parsers is None:
        return
    set_already = set(given)
    for option, kind, _ in PARSERS:
        name = parsers.first(kind, facts)
        wanted = kind == "tool" or family.thinks
        if name and wanted and option not in set_already:
            yield option, name

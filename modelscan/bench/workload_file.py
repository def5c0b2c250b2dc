"""Workloads in YAML: the bundled ones by name, and files of the user. Every error has its line.

name: support
version: 1
system: Answer in one sentence.
cases:
  - id: refund
    prompt: How do I get a refund?
    max_tokens: 60
    checks:
      - {kind: regex, pattern: "30 days", ignore_case: true}
      - {kind: max_words, words: 40}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

from modelscan.bench.checks import ARGUMENTS, CHECK_KINDS, AnswerCheck, CheckKind, made
from modelscan.bench.evaluation_catalog import chosen_workload, is_catalog
from modelscan.bench.workload import DEFAULT_TOKENS, BenchWorkload, PromptCase
from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.yaml_reader import MAX_CHARACTERS, YamlDocument, YamlProblem, read_yaml
from modelscan.core.yaml_reader import Path as ValuePath

BUNDLED = ("chat.short_reasoning", "chat.concise_support")
MOST_CASES = 10_000
_TOP = (
    "name", "version", "description", "system", "temperature", "thinking", "minimum_pass_rate",
    "cases",
)  # fmt: skip
_CASE = ("id", "prompt", "max_tokens", "checks")
_EXAMPLE = "see examples/bench-workload.yaml"


def bundled_workload(name: str) -> BenchWorkload:
    """A workload that comes with modelscan. Raises UsageError for another name."""
    if name not in BUNDLED:
        near = nearest(name, ("shape", *BUNDLED))
        raise UsageError(
            f"there is no workload '{name}'; there are shape, {', '.join(BUNDLED)}, and YAML files",
            hint=f"modelscan bench run NAME --workload {near[0] if near else BUNDLED[0]}",
            code="unknown_workload",
        )
    file = resources.files("modelscan.bench") / "workloads" / f"{name}.yaml"
    return read_workload(file.read_text(encoding="utf-8"), f"{name}.yaml")


def workload_file(path: Path) -> BenchWorkload:
    """The workload of a file; of an evaluation catalog, ``FILE#WORKLOAD``.

    Raises UsageError where it is missing or wrong.
    """
    name = None
    if not path.is_file() and "#" in path.name:
        file, _, name = path.name.rpartition("#")
        path = path.with_name(file)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read {path}: {why}", hint=_EXAMPLE) from error
    return read_workload(text, str(path), name)


def read_workload(text: str, where: str, name: str | None = None) -> BenchWorkload:
    """The workload of a text; ``name``: which one of a catalog. Pure; raises UsageError with the
    line of what is wrong."""
    try:
        document = read_yaml(text)
    except YamlProblem as error:
        raise UsageError(f"{where} is not YAML: {error}", hint=error.hint or _EXAMPLE) from error
    if is_catalog(document.value):
        chosen = chosen_workload(document.value, name, where)
        return _Reader(YamlDocument(chosen), f"{where}#{chosen['name']}").workload()
    if name is not None:
        raise UsageError(f"{where} is no evaluation catalog: '#{name}' selects nothing", hint=where)
    return _Reader(document, where).workload()


class _Reader:
    """Values of one document, checked; errors name the line."""

    def __init__(self, document: YamlDocument, where: str) -> None:
        self._document = document
        self._where = where

    def workload(self) -> BenchWorkload:
        top = self._table(self._document.value, (), _TOP)
        rows = top.get("cases")
        if not isinstance(rows, list) or not rows:
            raise self._wrong(("cases",), "cases: a list of prompts is missing")
        if len(rows) > MOST_CASES:
            raise self._wrong(("cases",), f"{len(rows):,} cases; at most {MOST_CASES:,} are read")
        cases = tuple(self._case(row, ("cases", index)) for index, row in enumerate(rows))
        ids = [case.id for case in cases]
        for index, one in enumerate(ids):
            if one in ids[:index]:
                raise self._wrong(("cases", index, "id"), f"the id '{one}' occurs twice")
        temperature = top.get("temperature", 0.0)
        if not isinstance(temperature, (int, float)) or isinstance(temperature, bool):
            raise self._wrong(("temperature",), "temperature: a number is required")
        thinking = top.get("thinking")
        if thinking not in (None, "off", False):
            raise self._wrong(("thinking",), f"thinking: 'off' or nothing, not {thinking!r}")
        return BenchWorkload(
            name=self._text(top, "name", ()),
            cases=cases,
            version=self._whole(top, "version", (), 1),
            system=self._text(top, "system", ()) if top.get("system") is not None else None,
            temperature=float(temperature),
            thinking=None if thinking is None else "off",
            description=top.get("description"),
            minimum_pass_rate=self._share(top, "minimum_pass_rate"),
        )

    def _case(self, row: Any, at: ValuePath) -> PromptCase:
        case = self._table(row, at, _CASE)
        checks = case.get("checks") or []
        if not isinstance(checks, list):
            raise self._wrong((*at, "checks"), "checks: a list is required")
        return PromptCase(
            id=self._text(case, "id", at),
            turns=(self._text(case, "prompt", at),),
            max_tokens=self._whole(case, "max_tokens", at, DEFAULT_TOKENS),
            checks=tuple(
                self._check(one, (*at, "checks", index)) for index, one in enumerate(checks)
            ),
        )

    def _check(self, row: Any, at: ValuePath) -> AnswerCheck:
        if not isinstance(row, Mapping):
            raise self._wrong(at, "a check is written like {kind: max_words, words: 60}")
        kind = row.get("kind")
        if kind not in CHECK_KINDS:
            near = nearest(str(kind), CHECK_KINDS)
            offered = f"; did you mean {near[0]}?" if near else ""
            raise self._wrong(
                (*at, "kind"),
                f"there is no check of the kind '{kind}'{offered} "
                f"The kinds are {', '.join(CHECK_KINDS)}",
            )
        name = ARGUMENTS[cast(CheckKind, kind)]
        keys = ("kind", "ignore_case", *(() if name is None else (name, "value")))
        fields = self._table(row, at, keys)
        argument = None if name is None else fields.get(name, fields.get("value"))
        ignore_case = fields.get("ignore_case", False)
        if not isinstance(ignore_case, bool):
            raise self._wrong((*at, "ignore_case"), "ignore_case: true or false")
        try:
            return made(cast(CheckKind, kind), argument, ignore_case=ignore_case)
        except ValueError as error:
            raise self._wrong(at, str(error)) from error

    def _table(self, value: Any, at: ValuePath, keys: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong(at, f"keys and values are required: {', '.join(keys)}")
        for key in value:
            if key not in keys:
                near = nearest(str(key), keys)
                offered = f"; did you mean '{near[0]}'?" if near else ""
                raise self._wrong((*at, key), f"unknown key '{key}'{offered}")
        return value

    def _text(self, table: Mapping[str, Any], key: str, at: ValuePath) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong((*at, key), f"{key}: a text is required")
        return value

    def _whole(self, table: Mapping[str, Any], key: str, at: ValuePath, default: int) -> int:
        value = table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
            raise self._wrong((*at, key), f"{key}: a number from 1 to 1,000,000 is required")
        return value

    def _share(self, table: Mapping[str, Any], key: str) -> float | None:
        value = table.get(key)
        if value is None:
            return None
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise self._wrong((key,), f"{key}: a number from 0 to 1 is required")
        return float(value)

    def _wrong(self, at: ValuePath, text: str) -> UsageError:
        line = self._document.line(at)
        place = self._where if line is None else f"{self._where}, line {line}"
        return UsageError(f"{place}: {text}", hint=_EXAMPLE, code="bad_workload")

"""Writes the catalog as one SQLite file: narrow rows for filters, full text, compressed details.

Rows are numbered by popularity, so that the best twenty matches are the first twenty matching rows
and nothing is ranked at query time. The same models give the same bytes.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from modelscan.catalog.index.layout import FORMAT, NameKind, bundled_index
from modelscan.catalog.index.search_words import (
    COMMON,
    FLAGS,
    deletions,
    kind_words,
    lead_words,
    mark,
    name_tokens,
    spelling,
    words,
)
from modelscan.catalog.merge.describe import SOURCE as DESCRIBED
from modelscan.catalog.records import SourceSnapshot, compact
from modelscan.catalog.sizing import MinimumMemory, lower_bound_memory
from modelscan.core.errors import ModelscanError
from modelscan.core.model import Model
from modelscan.state.files import ensure_dir, explain_os_errors

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE source(
  name TEXT PRIMARY KEY, state TEXT, retrieved_at TEXT, models INT, entries INT, origin TEXT,
  licence TEXT, error TEXT) WITHOUT ROWID;
CREATE TABLE model(
  rowid INTEGER PRIMARY KEY, id TEXT, name TEXT, family TEXT, license TEXT, task TEXT, lab TEXT,
  open INT, parameters INT, active INT, context INT, release TEXT, downloads INT, tools INT,
  reasoning INT, vision INT, modalities TEXT, memory INT, memory_for TEXT, memory_basis TEXT,
  sources TEXT, providers INT, variants INT);
CREATE TABLE facet(
  rowid INTEGER PRIMARY KEY, flags INT, parameters INT, context INT, memory INT, downloads INT,
  release INT);
CREATE TABLE score(
  name TEXT, model INT, value REAL, date TEXT, source TEXT, PRIMARY KEY(name, model))
  WITHOUT ROWID;
CREATE TABLE detail(rowid INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE name(key TEXT, kind INT, model INT, PRIMARY KEY(key, kind, model)) WITHOUT ROWID;
CREATE TABLE word(word TEXT PRIMARY KEY, models INT) WITHOUT ROWID;
CREATE TABLE typo(deletion TEXT, word TEXT, PRIMARY KEY(deletion, word)) WITHOUT ROWID;
CREATE VIRTUAL TABLE text USING fts5(
  ident, lead, kind, facet, content='', detail=column, columnsize=0,
  tokenize="unicode61 tokenchars '._'");
"""
_INDEXES = """
CREATE INDEX facet_parameters ON facet(parameters DESC);
CREATE INDEX facet_context ON facet(context DESC);
CREATE INDEX facet_memory ON facet(memory);
CREATE INDEX facet_downloads ON facet(downloads DESC);
CREATE INDEX facet_release ON facet(release DESC);
"""
_COLUMNS = 23
LeastMemory = Callable[[Model], MinimumMemory | None]


def build(
    models: Iterable[Model],
    path: Path,
    *,
    sources: Sequence[SourceSnapshot] = (),
    least: LeastMemory | None = None,
) -> None:
    """Write the index next to ``path`` and move it into place in one step.

    A crash at any time leaves the old or the new index. ``least`` computes the memory column;
    without it, the bundled index's estimates are kept and other values are lower bounds. Raises
    ModelscanError if a file cannot be written.
    """
    least = least or keep_bundled_estimates(bundled_estimates(bundled_index()))
    ensure_dir(path.parent)
    with explain_os_errors(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            _write(temporary, ranked(models), sources, least)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def keep_bundled_estimates(estimates: Mapping[str, MinimumMemory]) -> LeastMemory:
    """A function for the memory column: the bundled estimate of a model that still has those
    weights.
    """

    def least(model: Model) -> MinimumMemory | None:
        estimate = estimates.get(model.id)
        if estimate and any(v.quantization == estimate.quantization for v in model.variants):
            return estimate
        return lower_bound_memory(model)

    return least


def bundled_estimates(file: Path) -> dict[str, MinimumMemory]:
    """Model id -> estimated minimum memory in an index; empty if it is missing or not an index."""
    if not file.is_file():
        return {}
    sql = "SELECT id, memory, memory_for, memory_basis FROM model WHERE memory_basis='estimate'"
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return {row[0]: MinimumMemory(*row[1:]) for row in connection.execute(sql)}
    except sqlite3.DatabaseError:
        return {}
    finally:
        connection.close()


def _write(
    file: Path, models: list[Model], sources: Sequence[SourceSnapshot], least: LeastMemory
) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)
        connection.execute("BEGIN")
        _fill(connection, models, sources, least)
        for statement in filter(None, _INDEXES.split(";\n")):
            connection.execute(statement)
        connection.execute("INSERT INTO text(text) VALUES('optimize')")
        connection.execute("COMMIT")
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        raise ModelscanError(
            f"the catalog index could not be written: {error}",
            hint="free some space, or set MODELSCAN_HOME to a folder on another disk",
        ) from error
    finally:
        connection.close()


def _fill(
    connection: sqlite3.Connection,
    models: list[Model],
    sources: Sequence[SourceSnapshot],
    least: LeastMemory,
) -> None:
    marks = ",".join("?" * _COLUMNS)
    dictionary = common_text(models)
    counts: Counter[str] = Counter()
    vocabulary: Counter[str] = Counter()
    for number, model in enumerate(models, 1):
        needs = least(model)
        row = _row(number, model, needs)
        connection.execute(f"INSERT INTO model VALUES({marks})", row)
        connection.execute("INSERT INTO facet VALUES(?,?,?,?,?,?,?)", _facet(number, model, needs))
        body = pack(model, dictionary)
        connection.execute("INSERT INTO detail VALUES(?,?)", (number, body))
        connection.executemany("INSERT OR IGNORE INTO name VALUES(?,?,?)", _names(number, model))
        ident = name_tokens([model.id.rpartition("/")[2], model.name, *model.aliases])
        connection.executemany(
            "INSERT OR IGNORE INTO score VALUES(?,?,?,?,?)", _scores(number, model)
        )
        lead = lead_words(model)
        kinds = name_tokens([model.id, model.family or "", *model.tags, *model.repos])
        kinds += kind_words(model) + name_tokens([model.license or ""]) + _described(model)
        connection.execute(
            "INSERT INTO text(rowid, ident, lead, kind, facet) VALUES(?,?,?,?,?)",
            (number, " ".join(ident), " ".join(lead), " ".join(dict.fromkeys(kinds)),
             " ".join(_filter_terms(model))),
        )  # fmt: skip
        vocabulary.update({*ident, *lead, *kinds})
        counts.update(sources_of(model))
    spelled = {w for w in vocabulary if w.isalpha() and 3 <= len(w) <= 20}
    frequent = sorted((w, n) for w, n in vocabulary.items() if n >= COMMON or w in spelled)
    connection.executemany("INSERT INTO word VALUES(?,?)", frequent)
    typos = sorted((d, w) for w in spelled for d in deletions(w))
    connection.executemany("INSERT INTO typo VALUES(?,?)", typos)
    connection.executemany("INSERT INTO source VALUES(?,?,?,?,?,?,?,?)", _sources(sources, counts))
    meta = (("format", FORMAT), ("models", str(len(models))), ("dictionary", dictionary))
    connection.executemany("INSERT INTO meta VALUES(?,?)", meta)


def _described(model: Model) -> list[str]:
    """The words of a description that a source states; one made from facts repeats them."""
    origin = model.provenance.get("description")
    is_stated = origin is not None and origin.source != DESCRIBED
    return words(model.description or "") if is_stated else []


def ranked(models: Iterable[Model]) -> list[Model]:
    """The models by popularity, then id: the order of rows and of search results."""
    ordered = list(models)
    newest = max((m.release_date or "" for m in ordered), default="")
    return sorted(ordered, key=lambda m: (-popularity(m, newest), m.id))


def popularity(model: Model, newest: str) -> float:
    """A score from downloads, number of providers and recency relative to the newest release."""
    downloads = math.log10(1 + (model.downloads or 0))
    providers = 2.0 * math.log10(1 + len({o.provider for o in model.offerings}))
    recipes = 1.0 if model.specs else 0.0
    return round(downloads + providers + recipes + 3.0 * recency(model.release_date, newest), 6)


def recency(release: str | None, newest: str) -> float:
    """1 for the newest release, halved for each year before; 0 if unknown."""
    if not release or not newest[:4].isdecimal() or not release[:4].isdecimal():
        return 0.0
    return float(0.5 ** max(0.0, _years(newest) - _years(release)))


def _years(date: str) -> float:
    parts = [int(p) for p in date.split("-") if p.isdecimal()] + [1, 1]
    return parts[0] + (parts[1] - 1) / 12 + (parts[2] - 1) / 365


def _row(number: int, model: Model, least: MinimumMemory | None) -> tuple[object, ...]:
    can = model.capabilities
    modalities = sorted({*(model.modalities_in or ()), *(model.modalities_out or ())})
    return (
        number, model.id, model.name, model.family, model.license, model.task, model.lab,
        _as_int(model.open_weights), model.parameters, model.active_parameters,
        model.limits.context_tokens, model.release_date, model.downloads, _as_int(can.tools),
        _as_int(can.reasoning), _as_int(can.vision), _list(modalities),
        least.memory_bytes if least else None, least.quantization if least else None,
        least.basis if least else None,
        _list(sources_of(model)), len({o.provider for o in model.offerings}), len(model.variants),
    )  # fmt: skip


def _facet(number: int, model: Model, least: MinimumMemory | None) -> tuple[object, ...]:
    release = int((model.release_date or "").replace("-", "").ljust(8, "0") or 0) or None
    return (
        number, sum(FLAGS[name] for name in _true_flags(model)), model.parameters,
        model.limits.context_tokens, least.memory_bytes if least else None, model.downloads,
        release,
    )  # fmt: skip


def _true_flags(model: Model) -> set[str]:
    """The names in FLAGS that are known to be true of a model."""
    can = model.capabilities
    values = {
        "open": model.open_weights, "closed": model.open_weights is False, "tools": can.tools,
        "reasoning": can.reasoning, "vision": can.vision,
    }  # fmt: skip
    return {name for name, value in values.items() if value}


def _filter_terms(model: Model) -> list[str]:
    """Filter values as words of the full text, so that one full-text query applies them."""
    licenses = (model.license or "").split(", ")
    modalities = {*(model.modalities_in or ()), *(model.modalities_out or ())}
    pairs: list[tuple[str, str | None]] = [("flag", name) for name in sorted(_true_flags(model))]
    pairs += [("family", model.family), ("task", model.task)]
    pairs += [("license", part) for part in licenses]
    pairs += [("source", source) for source in sources_of(model)]
    pairs += [("modality", name) for name in sorted(modalities)]
    return [mark(kind, value) for kind, value in pairs if value]


def _as_int(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _list(values: Sequence[str]) -> str:
    """``,a,b,``: matched with LIKE '%,a,%'."""
    return "," + ",".join(values) + "," if values else ""


def sources_of(model: Model) -> list[str]:
    """The sources of any fact of a model."""
    names = set()
    for origin in model.provenance.values():
        names.add(origin.source.partition(" (")[0])
        names.update(source for source, _ in origin.others)
    derived = {
        "name",
        "modalities",
        "name of the repository",
        "link",
        "config.json",
        "task",
        "facts",
    }
    return sorted(s for s in names if s not in derived and not s.startswith("link:"))


def _names(number: int, model: Model) -> Iterator[tuple[str, int, int]]:
    yield model.id.lower(), NameKind.ID, number
    yield model.id.rpartition("/")[2].lower(), NameKind.SHORT, number
    yield model.name.lower(), NameKind.DISPLAY, number
    for alias in model.aliases:
        yield alias.lower(), NameKind.ALIAS, number
    for name in (model.id.rpartition("/")[2], model.name):
        yield spelling(name), NameKind.SPELLING, number
    for repo in model.repos:
        yield repo.lower(), NameKind.REPOSITORY, number
    for variant in model.variants:
        kind = NameKind.MODELSCOPE_ID if variant.source == "modelscope" else NameKind.WEIGHTS
        yield variant.repo.lower(), kind, number
        if variant.modelscope_repo:
            yield variant.modelscope_repo.lower(), NameKind.MODELSCOPE_ID, number
    for offering in model.offerings:
        yield offering.id.lower(), NameKind.OFFERING, number
        hosted = offering.id.rpartition("/")[2].lower()
        if any(c.isdecimal() for c in hosted):  # names like "large" and "auto" are ambiguous
            yield spelling(hosted), NameKind.HOSTED, number


def _scores(number: int, model: Model) -> Iterator[tuple[object, ...]]:
    """The newest value of each benchmark."""
    newest_first = sorted(model.benchmarks, key=lambda b: str(b.get("date") or ""), reverse=True)
    for benchmark in newest_first:
        name, value = benchmark.get("name"), benchmark.get("score")
        if isinstance(name, str) and isinstance(value, (int, float)):
            date, source = benchmark.get("date"), benchmark.get("source")
            yield name, number, float(value), date, source


def _sources(
    sources: Sequence[SourceSnapshot], counts: Counter[str]
) -> Iterator[tuple[object, ...]]:
    for s in sorted(sources, key=lambda s: s.source):
        yield (
            s.source, s.state, s.retrieved_at, counts[s.source], len(s.records), s.origin,
            s.licence, s.error,
        )  # fmt: skip


def common_text(models: Sequence[Model]) -> bytes:
    """Text common to many details: the compression dictionary."""
    sample = models[:: max(1, len(models) // 24)][:24]
    return b"".join(_body(m) for m in sample)[-32_000:]


def pack(model: Model, dictionary: bytes) -> bytes:
    """The complete model, compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return packer.compress(_body(model)) + packer.flush()


def _body(model: Model) -> bytes:
    text = json.dumps(compact(model), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8")

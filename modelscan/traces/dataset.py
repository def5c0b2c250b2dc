"""Kept conversations as training data: redacted, without duplicates, split by conversation."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelscan import __version__
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.receipt import Receipt
from modelscan.state.clock import now_text, text_of
from modelscan.state.files import PRIVATE_FILE, explain_os_errors, write_atomic
from modelscan.traces.content_view import ContentView
from modelscan.traces.export import ensure_folder, redacted
from modelscan.traces.near_duplicates import NearDuplicates
from modelscan.traces.redaction.redact import RULES_VERSION, Redactor

CONSENT = (
    "the person who ran this command stated with --yes that the people whose texts these are "
    "agreed to this use, and that this license may be given"
)
METHOD = "exact; near: MinHash, 64 hashes of runs of 3 words in 16 bands, similarity >= 0.8"
_SPDX = re.compile(r"\(?[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*\)?")
_FIELDS = (
    "route", "role", "served_model", "requested_model", "backend", "tier", "key", "operation",
    "depth", "finish_reason",
)  # fmt: skip
_ENDED = (None, "stop", "tool_calls", "end_turn", "tool_use", "completed")


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """A written file; ``split``: train, test, or all. ``sha256``: of the file."""

    file: str
    split: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Conversations that were left out: equal to another one, contained in a longer one, or nearly
    equal. ``method``: how."""

    exact: int
    contained: int
    near: int
    method: str


@dataclass(frozen=True, slots=True)
class DatasetSplit:
    """Conversations per hundred for training; equal seeds give equal splits. None: no split."""

    train: int
    test: int
    seed: int


@dataclass(frozen=True, slots=True)
class TraceDataset:
    """What was written. ``left_out``: requests that are no complete conversation, by reason."""

    files: tuple[DatasetFile, ...]
    provenance_file: str
    rows: int
    duplicates: Duplicates
    left_out: dict[str, int]
    split: DatasetSplit | None
    license: str
    redactions: dict[str, int]
    sha256: str


@dataclass(frozen=True, slots=True)
class DatasetWish:
    """What a dataset is made from and how. ``where``: fields of receipts and their values."""

    license: str
    consent: bool
    where: Mapping[str, str] = field(default_factory=dict)
    split: DatasetSplit | None = None

    def check(self) -> None:
        """Raises UsageError for a license that is no SPDX expression, and without consent."""
        if not _SPDX.fullmatch(self.license):
            raise UsageError(
                f"'{self.license}' is no SPDX license expression",
                hint="modelscan trace dataset chats.jsonl --license CC-BY-4.0 --yes",
            )
        if not self.consent:
            raise UsageError(
                "a dataset contains what people wrote: confirm that they agreed to this use",
                hint=f"modelscan trace dataset chats.jsonl --license {self.license} --yes",
                code="consent",
            )


@dataclass(frozen=True, slots=True)
class _Conversation:
    receipt: Receipt
    messages: list[dict[str, Any]]
    tools: list[Any]

    @property
    def identity(self) -> str:
        """Equal for the requests of one conversation: they begin with the same messages."""
        first = [m["content"] for m in self.messages if m["role"] == "user"][:1]
        system = [m["content"] for m in self.messages if m["role"] == "system"][:1]
        return _hash([self.receipt.key, system, first])


def parse_where(texts: Sequence[str]) -> dict[str, str]:
    """``field=value`` texts as a mapping. Raises UsageError for an unknown field."""
    where: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = {"provider": "backend", "model": "served_model"}.get(name, name)
        if not sign or name not in _FIELDS:
            raise UsageError(
                f"'{text}' is no condition (fields: {', '.join(_FIELDS)})",
                hint="--where route=coder",
            )
        where[name] = value
    return where


def parse_split(text: str, seed: int) -> DatasetSplit:
    """``90/10`` as a split. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text)
    if not match or int(match[1]) + int(match[2]) != 100:
        raise UsageError(
            f"'{text}' is no split: two numbers that add up to 100", hint="--split 90/10"
        )
    return DatasetSplit(int(match[1]), int(match[2]), seed)


@dataclass(slots=True)
class DatasetBuilder:
    """Makes one dataset from receipts, the newest first."""

    receipts: Iterable[Receipt]
    texts: ContentView
    redactor: Redactor
    wish: DatasetWish
    _left_out: Counter[str] = field(default_factory=Counter)
    _found: Counter[str] = field(default_factory=Counter)

    def write(self, file: Path) -> TraceDataset:
        """Write the rows and, in a file next to them, their provenance.

        Raises UsageError without consent, ModelscanError (nothing is written) where nothing is left
        or a secret survives redaction.
        """
        self.wish.check()
        ensure_folder(file)
        rows = [(one.identity, self._row(one)) for one in self._distinct()]
        if not rows:
            raise ModelscanError(
                "there is no kept conversation to write", hint="modelscan trace on --content",
                code="no_content", details=dict(self._left_out),
            )  # fmt: skip
        parts = self._parts(file, rows)
        with explain_os_errors(file):
            files = tuple(_write(path, split, chosen) for path, split, chosen in parts)
        return self._finish(file, files)

    def _conversations(self) -> Iterator[_Conversation]:
        for receipt in self.receipts:
            if any(getattr(receipt, name) != value for name, value in self.wish.where.items()):
                continue
            content = self.texts.of(receipt)
            reason = _incomplete(receipt, content)
            if reason is not None or content is None:
                self._left_out[reason or "no texts were kept"] += 1
                continue
            messages = [*content["messages"], content["answer"]]
            yield _Conversation(receipt, messages, content["tools"])

    def _distinct(self) -> Iterator[_Conversation]:
        """The longest of each conversation, none twice, none nearly twice."""
        exact: set[str] = set()
        prefixes: set[str] = set()
        near = NearDuplicates()
        longest = sorted(self._conversations(), key=lambda one: -len(one.messages))
        for one in longest:
            whole = _hash(one.messages)
            if whole in exact:
                self._found["exact"] += 1
            elif whole in prefixes:
                self._found["contained"] += 1
            elif near.seen("\n".join(m["content"] for m in one.messages)):
                self._found["near"] += 1
            else:
                yield one
            exact.add(whole)
            prefixes |= {_hash(one.messages[:end]) for end in range(1, len(one.messages))}

    def _row(self, one: _Conversation) -> dict[str, Any]:
        receipt = one.receipt
        texts = {"messages": one.messages, **({"tools": one.tools} if one.tools else {})}
        clean = redacted(self.redactor, texts, receipt.trace_id)
        return {
            **clean,
            "metadata": {
                "trace_id": receipt.trace_id, "model": receipt.served_model,
                "route": receipt.route, "created_at": text_of(receipt.at),
                "conversation": one.identity[:16], "license": self.wish.license,
            },
        }  # fmt: skip

    def _parts(
        self, file: Path, rows: list[tuple[str, dict[str, Any]]]
    ) -> list[tuple[Path, str, list[dict[str, Any]]]]:
        split = self.wish.split
        if split is None:
            return [(file, "all", [row for _, row in rows])]
        train = [row for identity, row in rows if _is_train(identity, split)]
        test = [row for identity, row in rows if not _is_train(identity, split)]
        return [
            (file.with_suffix(f".{name}{file.suffix}"), name, chosen)
            for name, chosen in (("train", train), ("test", test))
        ]

    def _finish(self, file: Path, files: tuple[DatasetFile, ...]) -> TraceDataset:
        place = file.with_suffix(".provenance.json")
        digest = _hash([one.sha256 for one in files])
        duplicates = Duplicates(
            self._found["exact"], self._found["contained"], self._found["near"], METHOD
        )
        answer = TraceDataset(
            files, str(place), sum(one.rows for one in files), duplicates,
            dict(sorted(self._left_out.items())), self.wish.split, self.wish.license,
            dict(sorted(self.redactor.counts.items())), digest,
        )  # fmt: skip
        _write_private(place, json.dumps(_provenance(answer, self.wish), indent=2) + "\n")
        return answer


def _incomplete(receipt: Receipt, content: dict[str, Any] | None) -> str | None:
    """Why a request is no conversation for training; None: it is one."""
    if content is None:
        return "no texts were kept"
    if receipt.status != 200 or receipt.error is not None:
        return "failed"
    if content["cut"]:
        return "the texts were cut"
    if not content["messages"] or content["answer"] is None:
        return "no conversation"
    return None if receipt.finish_reason in _ENDED else f"ended by {receipt.finish_reason}"


def _is_train(identity: str, split: DatasetSplit) -> bool:
    return int(_hash([split.seed, identity])[:8], 16) % 100 < split.train


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _write(file: Path, split: str, rows: list[dict[str, Any]]) -> DatasetFile:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    _write_private(file, text)
    return DatasetFile(str(file), split, len(rows), hashlib.sha256(text.encode()).hexdigest())


def _write_private(file: Path, text: str) -> None:
    write_atomic(file, text)
    file.chmod(PRIVATE_FILE)  # also where another file was there before


def _provenance(answer: TraceDataset, wish: DatasetWish) -> dict[str, Any]:
    return {
        "schema": "modelscan.trace.dataset.provenance/1",
        "files": [{"file": Path(one.file).name, "rows": one.rows, "sha256": one.sha256}
                  for one in answer.files],
        "license": answer.license,
        "consent": {"stated_by_option": "--yes", "at": now_text(), "text": CONSENT},
        "where": dict(wish.where),
        "duplicates": answer.duplicates.method,
        "redaction": {"rules_version": RULES_VERSION, "counts": answer.redactions},
        "modelscan": __version__,
    }  # fmt: skip

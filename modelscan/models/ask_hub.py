"""Queries a hub for facts that the catalog lacks: a model's GGUF files and its config.json.

The answers are stored (``hub.answers_kept``), so that each is requested once. A hub that does not
answer in time changes nothing: the plan uses computed sizes, and its notes name the failure.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

from modelscan.core.architecture import PARTIAL
from modelscan.core.errors import ModelscanError, RemoteError
from modelscan.core.reference import Kind, Reference
from modelscan.formats.files import gguf_sets
from modelscan.formats.quantization import means
from modelscan.hub import queries
from modelscan.hub.answers_kept import (
    Conversions,
    FileList,
    KeptAnswers,
    is_fresh,
)
from modelscan.hub.failed_queries import FailedQueries, FailedQuery
from modelscan.models.expected_variants import CONVERTED_TASKS
from modelscan.net.address import host_of
from modelscan.net.errors import STOPPED, HttpError

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant
    from modelscan.hub.repository import Hub
    from modelscan.state.config import Config

REQUEST_S = 5.0
TOTAL_S = 10.0
_MOST_REPOSITORIES = 3  # per kind of answer, if the first ones do not exist
_FIRST = ("unsloth", "bartowski", "ggml-org", "lmstudio-community")
_FIRST_OF_FOUR_BITS = ("ggml-org", "lmstudio-community", "bartowski", "unsloth")
_Answer = TypeVar("_Answer")
HUGGINGFACE = "huggingface"
_KINDS = {"huggingface": Kind.HUGGINGFACE, "modelscope": Kind.MODELSCOPE}


def ask(
    model: Model, config: Config, *, four_bits: bool, quantization: str | None = None
) -> tuple[str, ...]:
    """Request the missing facts, store the answers, and return a note for each query.

    ``four_bits``: the model was published in a four-bit float format. ``quantization``: lists are
    requested until one has it. Sends nothing offline, and no request whose answer is stored and
    recent.
    """
    if config.offline:
        return ()
    failures = FailedQueries.at(config.paths)
    with HubQueries(config, KeptAnswers.at(config.paths), failures) as queries:
        queries.about(model, four_bits=four_bits, quantization=quantization)
    return tuple(queries.notes)


def _needs_config(model: Model) -> bool:
    config = model.architecture
    return config is None or bool(config.get(PARTIAL))


def _released(model: Model) -> list[tuple[str, str]]:
    """Repositories with the model's own config.json: the makers', then copies of it."""
    plain = [
        v for v in model.variants
        if v.format in ("safetensors", "unknown") and v.quantization in (None, "BF16", "FP16")
    ]  # fmt: skip
    own = [v for v in model.variants if v.repo in model.repos]
    return _repositories([*own, *plain])


def _gguf(model: Model, four_bits: bool) -> list[tuple[str, str]]:
    """The GGUF repositories, the one whose files a plan would prefer first."""
    makers = model.repos[0].partition("/")[0].lower() if model.repos else ""
    order = (makers, *(_FIRST_OF_FOUR_BITS if four_bits else _FIRST))

    def rank(variant: Variant) -> int:
        owner = variant.repo.partition("/")[0].lower()
        return order.index(owner) if owner in order else len(order)

    return _repositories(sorted((v for v in model.variants if v.format == "gguf"), key=rank))


def _repositories(variants: list[Variant]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((v.source, v.repo) for v in variants if v.source in _KINDS))


@dataclass
class HubQueries:
    """Queries with at most one client and one deadline (``total_s``) for all of them.

    ``failed``: the hub did not answer one, so no more are sent. ``found``: answers with
    facts, new or recent. A hub in ``failures`` is not queried; None: every hub is.
    """

    settings: Config
    kept: KeptAnswers
    failures: FailedQueries | None = None
    total_s: float = TOTAL_S
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    found: int = 0
    _hub: Hub | None = None
    _end: float = 0.0

    def __enter__(self) -> HubQueries:
        self._end = time.monotonic() + self.total_s
        return self

    def __exit__(self, *_: object) -> None:
        if self._hub is not None:
            self._hub.http.close()

    @property
    def ended(self) -> bool:
        """Whether no more queries are sent: the hub failed, or the time is over."""
        return self.failed or time.monotonic() > self._end

    def about(self, model: Model, *, four_bits: bool, quantization: str | None = None) -> None:
        """Query what the catalog lacks of a model: a config.json, one list of GGUF files."""
        if _needs_config(model):
            self._first_of(_released(model), self._config)

        def has_files(source: str, repo: str) -> bool:
            listed = self._files(source, repo)
            return listed is not None and (quantization is None or _has(listed, quantization))

        repositories = _gguf(model, four_bits)
        if not repositories and model.task in CONVERTED_TASKS:
            found = (self._conversions(*original) for original in _released(model)[:1])
            repositories = [(HUGGINGFACE, repo) for repos in found for repo in repos]
        self._first_of(repositories, has_files)

    def _first_of(
        self, repositories: list[tuple[str, str]], query: Callable[[str, str], bool]
    ) -> None:
        """Query one repository after the other until one has the facts."""
        for source, repo in repositories[:_MOST_REPOSITORIES]:
            if query(source, repo) or self.ended:
                return

    def _files(self, source: str, repo: str) -> FileList | None:
        """The file list of a repository as it is known now; None without one."""
        last = self.kept.files(source, repo)
        if last is not None and is_fresh(last, datetime.now(timezone.utc)):
            self.found += last.files is not None
            return self._of_before(last)
        answer = self._answer(source, repo, queries.file_list)
        if answer is None:
            return self._of_before(last)
        with contextlib.suppress(OSError):  # a full disk or a read-only home changes no plan
            self.kept.keep_files(answer)
        if answer.files is None:
            self._note(source, f"{repo} does not exist there, or is private")
            return None
        count = sum(file.path.endswith(".gguf") for file in answer.files)
        self._note(source, f"{repo} has {count} GGUF files{_commit(answer)}")
        self.found += 1
        return answer

    def _of_before(self, last: FileList | None) -> FileList | None:
        if last is None or last.files is None:
            return None
        date = last.retrieved_at[:10]
        self.notes.append(f"the files of {last.repo} are those of {date}{_commit(last)}")
        return last

    def _config(self, source: str, repo: str) -> bool:
        """Whether the config.json of a repository is known now."""
        last = self.kept.config(source, repo)
        if last is not None and is_fresh(last, datetime.now(timezone.utc)):
            self.found += last.config is not None
            return last.config is not None
        answer = self._answer(source, repo, queries.config_file)
        if answer is None:
            return last is not None and last.config is not None
        with contextlib.suppress(OSError):
            self.kept.keep_config(answer)
        readable = answer.config is not None
        self._note(source, f"{'read' if readable else 'no readable'} config.json of {repo}")
        self.found += readable
        return readable

    def _conversions(self, source: str, repo: str) -> tuple[str, ...]:
        """GGUF repositories of a model for which the catalog has none."""
        last = self.kept.conversions(source, repo)
        if source != HUGGINGFACE or (last and is_fresh(last, datetime.now(timezone.utc))):
            return last.repositories if last else ()
        answer = self._answer(source, repo, _converted)
        if answer is None:
            return last.repositories if last else ()
        with contextlib.suppress(OSError):
            self.kept.keep_conversions(answer)
        self._note(source, f"{len(answer.repositories)} GGUF repositories of {repo}")
        return answer.repositories

    def _answer(
        self, source: str, repo: str, read: Callable[[Hub, Reference], _Answer]
    ) -> _Answer | None:
        """The hub's answer; None if it failed. A hub that does not answer ends the queries."""
        if self.ended or self._known_to_fail(source):
            return None
        try:
            return read(self._connected(), Reference(_KINDS[source], repo))
        except ModelscanError as error:
            self.failed = not isinstance(error, RemoteError) or isinstance(error, HttpError)
            text = f"queried {self._host(source)} about {repo}: {error.message}"
            failure = self._remember(source, error)
            self.notes.append(f"{text}; {failure.advice}" if failure else text)
            return None

    def _known_to_fail(self, source: str) -> bool:
        """Whether the hub did not answer a plan of the last minutes."""
        if self.failures is None:
            return False
        last = self.failures.current(source, self.settings, datetime.now(timezone.utc))
        if last is not None:
            self.failed = True
            self.notes.append(f"{last.text}; {last.advice}")
        return last is not None

    def _remember(self, source: str, error: ModelscanError) -> FailedQuery | None:
        if self.failures is None or not isinstance(error, HttpError) or error.code == STOPPED:
            return None
        return self.failures.keep(source, self.settings, error, datetime.now(timezone.utc))

    def _note(self, source: str, text: str) -> None:
        self.notes.append(f"queried {self._host(source)}: {text}")

    def _connected(self) -> Hub:
        if self._hub is None:
            from modelscan.hub.http_client import http_client
            from modelscan.hub.repository import Hub

            client = http_client(self.settings, within_s=REQUEST_S)
            self._hub = Hub.from_config(self.settings, client)
        return self._hub

    def _host(self, source: str) -> str:
        settings = self.settings
        on_modelscope = source == "modelscope"
        return host_of(settings.modelscope_endpoint if on_modelscope else settings.hf_endpoint)


def _converted(hub: Hub, reference: Reference) -> Conversions:
    """The conversions of known publishers first."""
    found = queries.conversions(hub, reference)
    ordered = sorted(found.repositories, key=lambda repo: repo.partition("/")[0] not in _FIRST)
    return replace(found, repositories=tuple(ordered[:_MOST_REPOSITORIES]))


def _has(listed: FileList, quantization: str) -> bool:
    labels = (label for label, _ in gguf_sets(listed.files or ()))
    return any(means(quantization, label, "gguf") for label in labels)


def _commit(listed: FileList) -> str:
    return f" (commit {listed.commit[:7]})" if listed.commit else ""

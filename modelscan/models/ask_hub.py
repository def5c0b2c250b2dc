"""Queries a hub for facts that the catalog lacks: a model's GGUF files and its config.json.

The answers are stored (``hub.answers_kept``), so that each is requested once. A hub that does not
answer in time changes nothing: the plan uses computed sizes, and its notes name the failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

from modelscan.core.architecture import PARTIAL
from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.reference import Kind, Reference
from modelscan.hub.answers_kept import ConfigFile, FileList, KeptAnswers, is_fresh
from modelscan.net.address import host_of
from modelscan.net.runner import utc_now

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant
    from modelscan.hub.repository import Hub
    from modelscan.state.config import Config

REQUEST_S = 5.0
TOTAL_S = 10.0
_MOST_REPOSITORIES = 3  # per kind of answer, if the first ones do not exist
_FIRST = ("unsloth", "bartowski", "ggml-org", "lmstudio-community")
_FIRST_OF_FOUR_BITS = ("ggml-org", "lmstudio-community", "bartowski", "unsloth")
_ABSENT = ("unknown_repo", "unknown_or_private", "no_file", "gated")
_Answer = TypeVar("_Answer")
_KINDS = {"huggingface": Kind.HUGGINGFACE, "modelscope": Kind.MODELSCOPE}


def ask(model: Model, config: Config, four_bits: bool) -> tuple[str, ...]:
    """Request the missing facts, store the answers, and return a note for each query.

    ``four_bits``: the model was published in a four-bit float format. Sends nothing offline, and
    no request whose answer is stored and recent.
    """
    if config.offline:
        return ()
    questions = _Questions(config, KeptAnswers.at(config.paths))
    with questions:
        if _needs_config(model):
            questions.first_of(_released(model), questions.config)
        questions.first_of(_gguf(model, four_bits), questions.files)
    return tuple(questions.notes)


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
class _Questions:
    """The questions of one plan: at most one client, one deadline for all of them."""

    settings: Config
    kept: KeptAnswers
    notes: list[str] = field(default_factory=list)
    _hub: Hub | None = None
    _end: float = 0.0
    _silent: bool = False  # the hub failed: no more queries

    def __enter__(self) -> _Questions:
        self._end = time.monotonic() + TOTAL_S
        return self

    def __exit__(self, *_: object) -> None:
        if self._hub is not None:
            self._hub.http.close()

    def first_of(
        self, repositories: list[tuple[str, str]], question: Callable[[str, str], bool]
    ) -> None:
        """Ask about one repository after the other until one has the facts."""
        for source, repo in repositories[:_MOST_REPOSITORIES]:
            if question(source, repo) or self._silent:
                return

    def files(self, source: str, repo: str) -> bool:
        """Whether the file list of a repository is known now."""
        last = self.kept.files(source, repo)
        if last is not None and is_fresh(last, datetime.now(timezone.utc)):
            if last.files is not None:
                self.notes.append(_of_before(last))
            return last.files is not None
        answer = self._answer(source, repo, _listed)
        if answer is None:
            if last is not None and last.files is not None:
                self.notes.append(_of_before(last))
            return last is not None and last.files is not None
        self.kept.keep_files(answer)
        if answer.files is None:
            self.notes.append(
                f"queried {self._host(source)}: {repo} does not exist there, or is private"
            )
            return False
        count = sum(file.path.endswith(".gguf") for file in answer.files)
        self.notes.append(
            f"queried {self._host(source)}: {repo} has {count} GGUF files{_commit(answer)}"
        )
        return True

    def config(self, source: str, repo: str) -> bool:
        """Whether the config.json of a repository is known now."""
        last = self.kept.config(source, repo)
        if last is not None and is_fresh(last, datetime.now(timezone.utc)):
            return last.config is not None
        answer = self._answer(source, repo, _config)
        if answer is None:
            return last is not None and last.config is not None
        self.kept.keep_config(answer)
        found = "read config.json of" if answer.config is not None else "no readable config.json in"
        self.notes.append(f"queried {self._host(source)}: {found} {repo}")
        return answer.config is not None

    def _answer(
        self, source: str, repo: str, read: Callable[[Hub, Reference], _Answer]
    ) -> _Answer | None:
        """The hub's answer; None if it failed, which ends the questions."""
        if self._silent or time.monotonic() > self._end:
            return None
        try:
            return read(self._connected(), Reference(_KINDS[source], repo))
        except ModelscanError as error:
            self._silent = True
            self.notes.append(f"queried {self._host(source)} about {repo}: {error.message}")
            return None

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


def _listed(hub: Hub, reference: Reference) -> FileList:
    source, now = reference.kind.value, utc_now()
    try:
        info = hub.repo_info(reference)
    except (UsageError, AuthError) as error:
        if error.code not in _ABSENT:
            raise
        return FileList(source, reference.value, now)
    return FileList(
        source, reference.value, now, info.commit, info.gated, info.downloads, info.files,
        info.files_complete,
    )  # fmt: skip


def _config(hub: Hub, reference: Reference) -> ConfigFile:
    source, now = reference.kind.value, utc_now()
    try:
        return ConfigFile(source, reference.value, now, hub.fetch_config(reference))
    except (UsageError, AuthError) as error:
        if error.code not in _ABSENT:
            raise
        return ConfigFile(source, reference.value, now)


def _of_before(last: FileList) -> str:
    return f"the files of {last.repo} are those of {last.retrieved_at[:10]}{_commit(last)}"


def _commit(listed: FileList) -> str:
    return f" (commit {listed.commit[:7]})" if listed.commit else ""

"""Finds the repository for a hosted id with an ordered list of rules; the rule is reported.

Precision before recall: a rule matches only if exactly one repository qualifies, and only
repositories of known labs qualify (except if an id contains the full repository name).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.catalog.link.name_differences import (
    DATE,
    SERVING,
    agrees,
    completes,
    undecorated,
    without_version_letter,
)
from modelscan.formats.repo_names import (
    clean_display_name,
    key,
    owner,
    short,
    split_repo_name,
    tokens,
)

if TYPE_CHECKING:
    from modelscan.catalog.curated import Curated

_REGION = re.compile(r"^(?:us|eu|apac|au|jp|global)\.")
_REVISION = re.compile(r"-(?:v?\d+):\d+$")
_VERSION_WORD = re.compile(r"^v\d+(?:\.\d+)*$")
_DECIMAL_P = re.compile(r"(?<=\d)p(?=\d)")
_PATH_WORDS = frozenset({"accounts", "models", "routers", "chat-completion"})  # of a host's ids


@dataclass(frozen=True, slots=True)
class RepositoryMatch:
    """A repository and the rule that found it."""

    repo: str
    rule: str


@dataclass(frozen=True, slots=True)
class HostedId:
    """A hosted id, split: the lab in it, if any, and the model's own name."""

    text: str
    lab: str | None
    name: str
    foreign: bool = False  # its owner is not a known lab: possibly a fine-tune


class Linker:
    """Links hosted ids to the repositories of all sources."""

    def __init__(self, repos: Mapping[str, int], curated: Curated) -> None:
        """``repos``: repository -> downloads (0 if unknown), used to order equal candidates."""
        self._curated = curated
        self._exact = {repo.lower(): repo for repo in sorted(repos)}
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_word: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        self._by_owner: dict[str, list[str]] = defaultdict(list)
        official = [r for r in repos if curated.official(r) and tokens(short(r))]
        plain = {r.lower() for r in official if not split_repo_name(short(r)).derived}
        for repo in sorted(official, key=lambda r: (-repos[r], r)):
            if repo.lower() in plain or _only_release(repo, plain):
                self._enter(repo)

    def _enter(self, repo: str) -> None:
        """Index a repository by its words, also without its lab's brand."""
        words = tuple(key(short(repo)).split())
        spellings = [words]
        if words[-1] in self._curated.endings.get(self._curated.lab_of_repo(repo) or "", ()):
            spellings.append(words[:-1])
        brand, _, rest = short(repo).partition("-")
        if brand.lower() in self._curated.brands and rest:
            spellings.append(tuple(key(rest).split()))
        self._by_owner[owner(repo)].append(repo)
        for spelling in spellings:
            self._by_key[" ".join(spelling)].append(repo)
            self._by_word[spelling[0]].append((spelling, repo))

    def canonical_repo(self, repo: str) -> str:
        """The spelling of a repository in the sources."""
        return self._exact.get(repo.lower(), repo)

    def known(self, repo: str) -> str | None:
        """The repository if any source lists it, else None."""
        return self._exact.get(repo.lower())

    def take_apart(self, identifier: str, *, provider: bool = False) -> HostedId:
        """Split a hosted id. ``provider``: its first part is the host, not the maker."""
        parts = [p for p in identifier.split("/") if p and not p.startswith("@")]
        host = parts.pop(0) if provider and len(parts) > 1 else None
        owners, model_part = parts[:-1], parts[-1]
        lab = next((lab for p in reversed(owners) if (lab := self._curated.lab(p))), None)
        lab, name = self._before_dot(lab, self._without_lab(_plain_name(model_part)))
        if "fireworks" in identifier or host == "fireworks-ai":
            name = _DECIMAL_P.sub(".", name)
        makers = [p for p in owners if p not in _PATH_WORDS and not _of_host(p, host)]
        foreign = lab is None and bool(makers)
        lab = lab or self._lab_of_family(name) or self._curated.lab(host)
        return HostedId("/".join(parts), lab, name, foreign)

    def _before_dot(self, lab: str | None, name: str) -> tuple[str | None, str]:
        """``meta.llama3-8b-instruct``: the lab, and the name without it."""
        head, dot, rest = name.partition(".")
        stated = self._curated.lab(head) if dot and not rest[:1].isdecimal() else None
        if stated is None:
            return lab, name
        lab = lab or stated
        # The lab's name may be the model's first word: deepseek.r1.
        return lab, rest if self._lab_of_family(rest) or head != lab else name

    def _lab_of_family(self, name: str) -> str | None:
        """The lab that owns the family in the name's first word, or None."""
        return self._curated.families.get(next(iter(tokens(name)), ""))

    def _without_lab(self, name: str) -> str:
        """``openai-gpt-5.4-nano`` -> ``gpt-5.4-nano``."""
        head, dash, rest = name.partition("-")
        lab = self._curated.lab(head)
        return rest if dash and lab and self._lab_of_family(rest) == lab else name

    def link(
        self,
        identifier: str,
        *,
        display: str | None = None,
        open_weights: bool | None = None,
        provider: bool = False,
    ) -> RepositoryMatch | None:
        """The repository for a hosted id, or None. ``display`` is the row's display name.

        If ``open_weights`` is False, only exact spellings and equal names match.
        """
        hosted = self.take_apart(identifier, provider=provider)
        curated = self._curated.repositories.get(f"{hosted.lab}/{hosted.name}".lower())
        if curated:
            return RepositoryMatch(curated, "curated")
        plain = undecorated(hosted.name)
        if self.moving(hosted.name) or (plain and self.moving(plain)):
            return None
        exact = self._spelled_out(hosted)
        if exact:
            return RepositoryMatch(exact, "exact")
        equal = self.equal(hosted.name, hosted.lab)
        if equal:
            served = self._served(hosted.name, hosted.lab) if provider else equal
            return (
                RepositoryMatch(equal, "name")
                if served == equal
                else RepositoryMatch(str(served), "serving word")
            )
        if display and self.moving(display):
            return None
        display_name = clean_display_name(display) if display else None
        return self._close(hosted, display_name) or (
            None if open_weights is False or hosted.foreign else self._loose(hosted, display_name)
        )

    def _close(self, hosted: HostedId, display_name: str | None) -> RepositoryMatch | None:
        """Match the name without words for price and speed, or the display name, with a
        repository.
        """
        plain = undecorated(hosted.name)
        repository = self._served(plain, hosted.lab) if plain else None
        if repository:
            return RepositoryMatch(repository, "decoration")
        repository = self._served(display_name, hosted.lab) if display_name else None
        return (
            RepositoryMatch(repository, "display name")
            if repository and agrees(hosted.name, repository)
            else None
        )

    def _loose(self, hosted: HostedId, display_name: str | None) -> RepositoryMatch | None:
        plain = undecorated(display_name) if display_name else None
        texts = [hosted.name, undecorated(hosted.name), display_name, plain]
        steps = (
            ("serving word", self._serving),
            ("completion", self._completion),
            ("word order", self._reordered),
        )
        for rule, rule_function in steps:
            for text in texts:
                repository = rule_function(text, hosted.lab) if text else None
                if repository and agrees(hosted.name, repository, lenient=rule == "completion"):
                    return RepositoryMatch(repository, rule)
        repository = self.equal(plain, hosted.lab) if plain else None
        return (
            RepositoryMatch(repository, "decoration")
            if repository and agrees(hosted.name, repository)
            else None
        )

    def moving(self, text: str) -> bool:
        """True for a name whose weights change over time; it is never linked."""
        words = tokens(text)
        return "latest" in words or text.lower() in self._curated.moving

    def _spelled_out(self, hosted: HostedId) -> str | None:
        """The repository if the id contains ``org/name`` of any publisher."""
        pair = "/".join(hosted.text.split("/")[-2:]).partition(":")[0].lower()
        repo = self._exact.get(pair)
        if repo is None or not split_repo_name(short(repo)).derived:
            return repo
        return self.equal(short(repo), self._curated.lab_of_repo(repo)) or repo

    def equal(self, text: str, lab: str | None) -> str | None:
        """The official repository with that name, ignoring spelling and quantization words."""
        repository = self._choose(self._by_key.get(key(text), ()), lab)
        plain = without_version_letter(text)
        return repository or (self.equal(plain, lab) if plain != text else None)

    def _served(self, text: str, lab: str | None) -> str | None:
        """Like ``equal``, but if the name also fits a base model, its instruct or chat version."""
        words = key(text)
        repositories = {r for word in SERVING for r in self._by_key.get(f"{words} {word}", ())}
        return self._choose(sorted(repositories), lab) or self.equal(text, lab)

    def completed(self, text: str, lab: str | None) -> str | None:
        """The repository whose name only adds a serving word, size or date to this name."""
        for rule in (self._serving, self._completion):
            repository = rule(text, lab)
            if repository and agrees(text, repository):
                return repository
        return None

    def _serving(self, text: str, lab: str | None) -> str | None:
        """Match after adding or removing instruct / it / chat."""
        words = key(text).split()
        variants = [[*words, word] for word in SERVING]
        if words and words[-1] in SERVING:
            if self._completion(text, lab):  # a later, dated release is equally likely
                return None
            variants = [words[:-1], *([*words[:-1], word] for word in SERVING)]
        dated = bool(words) and bool(DATE.match(words[-1]))
        if dated:
            variants += [[*words[:-1], word, words[-1]] for word in SERVING]
        variants.append([word for word in words if word not in SERVING])
        repositories = {r for v in variants for r in self._by_key.get(" ".join(v), ())}
        return self._choose(sorted(repositories), lab)

    def _completion(self, text: str, lab: str | None) -> str | None:
        """The only repository whose name has all the words in order, plus insignificant ones."""
        words = tuple(key(text).split())
        if len(words) < 2:
            return None
        dates = {w for w in words if DATE.match(w)}
        repositories = [
            repo
            for other, repo in self._by_word.get(words[0], ())
            if completes(words, other, anchored=bool(dates & set(other)))
        ]
        return self._choose(repositories, lab)

    def _reordered(self, text: str, lab: str | None) -> str | None:
        """The lab's only repository with the same words in another order, ignoring the brand."""
        words = set(re.split(r"[-_:\s]+", text.lower()))
        if lab is None or len(words) < 3:
            return None
        repositories = [
            repo
            for org in self._curated.orgs.get(lab, ())
            for repo in self._by_owner.get(org.lower(), ())
            if words <= (other := set(re.split(r"[-_]+", short(repo).lower())))
            and all(self._is_optional(w) for w in other - words)
        ]
        return self._choose(repositories, lab)

    def _is_optional(self, word: str) -> bool:
        return bool(_VERSION_WORD.match(word)) or word in SERVING or word in self._curated.brands

    def _choose(self, repositories: Iterable[str], lab: str | None) -> str | None:
        """The single candidate: of the named lab, else of the only lab among the candidates."""
        candidates = list(dict.fromkeys(repositories))
        if lab is not None:
            own_repositories = [r for r in candidates if self._curated.lab_of_repo(r) == lab]
            candidates = own_repositories or [r for r in candidates if len(candidates) == 1]
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        return self._one_of(candidates)

    def _one_of(self, candidates: list[str]) -> str | None:
        """The best of several repositories of one model: newer organization, instruct or chat
        version.
        """
        labs = {self._curated.lab_of_repo(r) for r in candidates}
        if len(labs) != 1 or len({self._plain_key(r) for r in candidates}) != 1:
            return None
        order = [org.lower() for org in self._curated.orgs[str(labs.pop())]]
        served = [r for r in candidates if set(tokens(short(r))) & set(SERVING)] or candidates
        return min(
            served,
            key=lambda r: (
                order.index(owner(r)) if owner(r) in order else len(order),
                "hf" in tokens(short(r)),
                short(r).partition("-")[0].lower() in self._curated.brands,
                r,
            ),
        )

    def _plain_key(self, repo: str) -> str:
        """The name without brand and serving words."""
        words = key(short(repo)).split()
        brand = short(repo).partition("-")[0].lower()
        if brand in self._curated.brands:
            words = words[len(tokens(brand)) :]
        return " ".join(w for w in words if w not in SERVING and w != "hf")


def _plain_name(text: str) -> str:
    """The id without a leading region (``us.…``) and a trailing revision (``…-v1:0``)."""
    return _REVISION.sub("", _REGION.sub("", text))


def _of_host(part: str, host: str | None) -> bool:
    """True for ``fireworks`` in an id of fireworks-ai: a part of the path, not the maker."""
    return host is not None and part.lower() in host.lower().split("-")


def _only_release(repo: str, plain: set[str]) -> bool:
    """True for a lab's BF16 repository without another original: it is the original."""
    name = split_repo_name(short(repo))
    base = f"{owner(repo)}/{name.base.lower()}"
    return name.quantization == "BF16" and name.format is None and base not in plain

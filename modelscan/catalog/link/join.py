"""Groups all sources' records by model, with reasons.

A group is a canonical model, identified by an id that a source states, else by its released weights
(a repository), else by a hosted name. Every record is kept: one without a match is a group of its
own, except scores, which alone are no model. The result does not depend on the order of snapshots
or records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelscan.catalog.link.derivation import CONVERSION, has_other_weights, has_weights_of
from modelscan.catalog.link.groups import (
    Member,
    RecordGroup,
    majority,
    newer,
    slug,
    strength,
    within,
)
from modelscan.catalog.link.name_differences import undecorated
from modelscan.catalog.link.rules import HostedId, Linker, RepositoryMatch
from modelscan.catalog.records import HUGGINGFACE, MODELSCOPE
from modelscan.formats.repo_names import key, owner, short, split_repo_name, tokens

if TYPE_CHECKING:
    from modelscan.catalog.curated import Curated
    from modelscan.catalog.records import SourceRecord, SourceSnapshot


def link(snapshots: Iterable[SourceSnapshot], curated: Curated) -> list[RecordGroup]:
    """Put each record into exactly one group; groups are sorted by id."""
    return Grouping(snapshots, curated).run()


def repositories(snapshots: Sequence[SourceSnapshot]) -> dict[str, int]:
    """All repositories in any record, with downloads (0 if unknown)."""
    downloads_by_repo: dict[str, int] = {}
    for snapshot in snapshots:
        for record in snapshot.records:
            downloads = record.facts.get("downloads") or 0
            for repo in record.repos:
                downloads_by_repo[repo] = max(downloads_by_repo.get(repo, 0), downloads)
    return downloads_by_repo


class Grouping:
    """The state of one run; ``linker`` can be used afterwards (``catalog info``, benchmarks)."""

    def __init__(self, snapshots: Iterable[SourceSnapshot], curated: Curated) -> None:
        self.snapshots = sorted(snapshots, key=lambda s: s.source)
        self.curated = curated
        self.repos = repositories(self.snapshots)
        self.linker = Linker(self.repos, curated)
        self.groups: dict[str, RecordGroup] = {}
        self._bases: dict[str, tuple[str, str]] = {}
        self._by_repo: dict[str, str] = {}  # released weights -> id of the group that owns them
        self._names: dict[str, set[str]] = defaultdict(set)  # key of a short name -> group ids
        self._canonical_ids: set[str] = set()  # groups with an id stated by a source
        self._rows: dict[str, set[str]] = defaultdict(set)  # key of their rows' names -> group ids
        self._sets: dict[str, str] = {}  # key of a recipe set's name -> group id
        self._votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._stated_base, self._relation = self._read_bases()

    def run(self) -> list[RecordGroup]:
        """Group all records; the groups sorted by id."""
        members = self._members()
        self._canonical([m for m in members if m.record.canonical])
        loose = [m for m in members if not m.record.canonical]
        weights = [m for m in loose if m.record.kind not in ("offering", "scores")]
        for member in sorted(weights, key=lambda m: not m.record.repos):
            self._weights(member)
        self._hosted([m for m in loose if m.record.kind == "offering"])
        self._scores([m for m in loose if m.record.kind == "scores"])
        return [group for _, group in sorted(self.groups.items())]

    def _scores(self, members: list[Member]) -> None:
        """Add benchmark results to the models that they name; others are ignored."""
        for member in members:
            match = self.linker.link(member.record.key)
            if match:
                self._join(self._owner_of(self.base_of(match.repo)[0]), member, match.rule)

    def _members(self) -> list[Member]:
        """All records in a total order; of duplicates, the newest."""
        newest: dict[tuple[str, str, str], Member] = {}
        for snap in self.snapshots:
            for record in snap.records:
                member = Member(snap.source, snap.retrieved_at, record, "")
                identity = (snap.source, record.key, record.kind)
                existing = newest.get(identity)
                if existing is None or newer(member, existing):
                    newest[identity] = member
        return [member for _, member in sorted(newest.items())]

    # --- canonical ids ---------------------------------------------------------------------

    def _canonical(self, members: list[Member]) -> None:
        stated: dict[str, list[Member]] = defaultdict(list)
        for member in members:
            stated[str(member.record.canonical).lower()].append(member)
        misplaced: list[tuple[Member, str]] = []
        for model_id, members_of_id in sorted(stated.items()):
            group = self._group(model_id)
            self._canonical_ids.add(model_id)
            match = self._canonical_link(model_id, members_of_id)
            base = self.base_of(match.repo)[0] if match else None
            if match and base:
                group.links[base] = match.rule
            for member in members_of_id:
                other = self._spelled_otherwise(member, base)
                if other:
                    misplaced.append((member, other))
                else:
                    self._join(group, member, "canonical id")
                    self._rows[self._row_name(member)].add(group.id)
        for group in sorted(self.groups.values(), key=strength):
            for repo in group.links:
                group.primary = self._by_repo.setdefault(repo.lower(), group.id) == group.id
        for member, repo in misplaced:
            self._join(self._owner_of(repo), member, "own id, not its canonical id")

    def _row_name(self, member: Member) -> str:
        provider = member.record.kind == "offering"
        return key(self.linker.take_apart(member.record.key, provider=provider).name)

    def _spelled_otherwise(self, member: Member, base: str | None) -> str | None:
        """The more specific weights in a row's own id than in its canonical id, or None.

        ``deepseek-r1-0528`` is not ``deepseek-r1``. A less specific id may have been moved to newer
        weights, so its canonical id is used.
        """
        if base is None or member.record.kind != "offering":
            return None
        match = self.linker.link(member.record.key, open_weights=False, provider=True)
        if match is None or match.rule not in ("exact", "name"):
            return None
        own = self.base_of(match.repo)[0]
        same = own.lower() == base.lower() or key(short(own)) == key(short(base))
        return own if not same and within(short(base), short(own)) else None

    def _canonical_link(self, model_id: str, members: list[Member]) -> RepositoryMatch | None:
        weights = sorted({r for m in members for r in m.record.repos if m.record.kind == "model"})
        if weights:
            return RepositoryMatch(weights[0], "weights")
        opened = majority(m.record.facts.get("open_weights") for m in members)
        name = majority(m.record.name for m in members)
        match = self.linker.link(model_id, display=name, open_weights=opened)
        if opened is False and match and match.rule == "decoration":
            return None  # glm-5-turbo is a separate model, not an open model served faster
        if match or opened is False or self.linker.moving(short(model_id)):
            return match
        return self._rows_agree(model_id, members)

    def _rows_agree(self, model_id: str, members: list[Member]) -> RepositoryMatch | None:
        """The repository that at least two providers and two thirds of those with a match name."""
        votes: Counter[str] = Counter()
        for member in members:
            match = self.linker.link(member.record.key, open_weights=False, provider=True)
            if match and match.rule in ("exact", "name"):
                votes[self.base_of(match.repo)[0]] += 1
        if not votes:
            return None
        repo, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
        if count < 2 or count * 3 < votes.total() * 2:
            return None
        if not within(short(model_id), short(repo)):
            return None
        return RepositoryMatch(repo, "rows agree")

    # --- weights ---------------------------------------------------------------------------

    def _weights(self, member: Member) -> None:
        """Put recipe sets and repositories into the group of the weights they are made from."""
        record = member.record
        repo = self._main_repo(record)
        if repo is None:
            self._by_name(member)
            return
        base, reason = self.base_of(repo)
        group = self._owner_of(base)
        self._join(group, member, reason)
        if reason == "same name" and self._same_lab(repo, base):
            group.links.setdefault(self.linker.canonical_repo(repo), reason)
        if record.kind == "set":
            self._sets.setdefault(key(record.name or ""), group.id)

    def _same_lab(self, first: str, second: str) -> bool:
        """True if both repositories belong to one lab, e.g. its older organization."""
        labs = (self.curated.lab_of_repo(first), self.curated.lab_of_repo(second))
        return labs[0] is not None and labs[0] == labs[1]

    def _main_repo(self, record: SourceRecord) -> str | None:
        """The repository of a record whose base most of its repositories have; the base itself
        first.
        """
        repos = record.repos or ((record.base,) if record.base else ())
        repositories = [r for r in repos if r.count("/") == 1]
        if not repositories:
            return None
        bases = Counter(self.base_of(r)[0] for r in repositories)
        name = key(record.name or "")
        base = min(bases, key=lambda b: (key(short(b)) != name, -bases[b], b))
        return min(
            (r for r in repositories if self.base_of(r)[0] == base), key=lambda r: (r != base, r)
        )

    def _owner_of(self, base: str) -> RecordGroup:
        model_id = self._by_repo.get(base.lower())
        if model_id is None:
            lab = self.curated.lab_of_repo(base)
            name = self._without_brand(split_repo_name(short(base)).base)
            model_id = f"{lab or owner(base)}/{name.lower()}"
            self._by_repo[base.lower()] = model_id
        group = self._group(model_id)
        group.links.setdefault(self.linker.canonical_repo(base), "repository")
        return group

    def base_of(self, repo: str) -> tuple[str, str]:
        """The released weights that ``repo`` was made from, and the reason; ``repo`` itself if
        it has them.
        """
        cached = self._bases.get(repo.lower())
        if cached is None:
            self._bases[repo.lower()] = (repo, "repository")  # ends a circle of stated bases
            cached = self._bases[repo.lower()] = self._find_base(self.linker.canonical_repo(repo))
        return cached

    def _find_base(self, repo: str) -> tuple[str, str]:
        name = split_repo_name(short(repo))
        relation = self._relation.get(repo.lower())
        if has_other_weights(repo, relation, self.curated):
            return repo, f"stated {relation}"
        original = self._original(repo, name.base)
        stated = self._stated_base.get(repo.lower())
        if stated and stated.lower() != repo.lower():
            if has_weights_of(stated, repo, relation, self.curated):
                base = self.base_of(stated)[0]
                if original is None or key(short(original)) == key(short(base)):
                    return base, "stated base"
            elif not self._is_publisher(repo):
                return repo, "another model than its stated base"
        if original:
            return original, "quantization suffix" if name.derived else "same name"
        converted = owner(repo) in self.curated.converters
        if not name.derived and not converted:
            return repo, "repository"
        same_owner = self.linker.known(f"{owner(repo)}/{name.base}") if name.derived else None
        if same_owner and not converted:
            return self.base_of(same_owner)[0], "quantization suffix"
        equal = self.linker.equal(name.base, None)
        if equal and equal.lower() != repo.lower():
            return equal, "quantization suffix" if name.derived else "converter's copy"
        return repo, "repository"

    def _original(self, repo: str, base: str) -> str | None:
        """The original repository, of the lab whose family the name begins with; None if it is
        ``repo``.
        """
        plain = self._without_brand(base)
        family = self.curated.families.get(next(iter(tokens(plain)), ""))
        lab = family or self.curated.lab_of_repo(repo)
        if lab is None:
            return None
        original = self.linker.equal(plain, lab)
        if original is None or original.lower() == repo.lower():
            return None
        return original if self.curated.lab_of_repo(original) == lab else None

    def _without_brand(self, name: str) -> str:
        """``NVIDIA-Nemotron-Nano-9B-v2`` -> ``Nemotron-Nano-9B-v2``."""
        brand, _, rest = name.partition("-")
        return rest if rest and brand.lower() in self.curated.brands else name

    def _is_publisher(self, repo: str) -> bool:
        """True for repositories of known labs and converters, whose names can be trusted."""
        return self.curated.official(repo) or owner(repo) in self.curated.converters

    def _read_bases(self) -> tuple[dict[str, str], dict[str, str]]:
        """Repository -> base, if all sources with a statement agree; repository -> relation."""
        bases_by_repo: dict[str, set[str]] = defaultdict(set)
        relations: dict[str, str] = {}
        for snapshot in self.snapshots:
            for record in snapshot.records:
                if record.kind != "repository":
                    continue
                for repo in record.repos:
                    if record.base and record.base.count("/") == 1:
                        bases_by_repo[repo.lower()].add(self.linker.canonical_repo(record.base))
                    if record.relation:
                        relations[repo.lower()] = record.relation
                    elif record.base and snapshot.source not in (HUGGINGFACE, MODELSCOPE):
                        relations.setdefault(repo.lower(), CONVERSION)
        agreed = {repo: next(iter(b)) for repo, b in bases_by_repo.items() if len(b) == 1}
        return agreed, relations

    # --- hosted names ----------------------------------------------------------------------

    def _hosted(self, members: list[Member]) -> None:
        unlinked: list[tuple[Member, HostedId]] = []
        for member in members:
            record = member.record
            hosted = self.linker.take_apart(record.key, provider=True)
            match = self.linker.link(
                record.key,
                display=record.name,
                open_weights=self._openness(record, hosted),
                provider=True,
            )
            same = None
            if match is None or match.rule == "decoration":  # a source's statement is more certain
                same = self._stated(hosted, record.facts.get("open_weights"))
            if match and not same:
                self._join_hosted(self._owner_of(self.base_of(match.repo)[0]), member, match.rule)
                continue
            same = same or self._same_name(hosted.name, hosted.lab)
            if same:
                self._join_hosted(same, member, "same name")
            else:
                unlinked.append((member, hosted))
        names: dict[str, list[tuple[Member, str | None, str]]] = defaultdict(list)
        for member, hosted in unlinked:
            twin = self._agreed(hosted)
            if twin:
                self._join(twin, member, "rows agree")
            else:
                names[key(hosted.name)].append((member, hosted.lab, hosted.name))
        for _, rows in sorted(names.items()):
            self._new_names(rows)

    def _openness(self, record: SourceRecord, hosted: HostedId) -> bool | None:
        """Whether the weights are open according to a row; None if a host that is not the lab says
        that they are closed.

        Aggregators mark open models as closed. A name with a date, a size or ``instruct`` more is
        then enough for a link; a name for another service (``-turbo``) is not.
        """
        stated: bool | None = record.facts.get("open_weights")
        host = self.curated.lab(record.key.partition("/")[0])
        if stated is False and hosted.lab is not None and host != hosted.lab:
            match = self.linker.completed(hosted.name, hosted.lab)
            return None if match else False
        return stated

    def _join_hosted(self, group: RecordGroup, member: Member, reason: str) -> None:
        """Add a linked row, whose name then means the model as well."""
        self._join(group, member, reason)
        if group.links:
            hosted = self.linker.take_apart(member.record.key, provider=True)
            self._votes[hosted.lab or "", key(hosted.name)][group.id] += 1

    def _agreed(self, hosted: HostedId) -> RecordGroup | None:
        """The model of at least two rows, and two thirds of those, with this name and lab."""
        votes = self._votes.get((hosted.lab or "", key(hosted.name)))
        if not votes or hosted.lab is None or self.linker.moving(hosted.name):
            return None
        model_id, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
        return self.groups[model_id] if count >= 2 and count * 3 >= votes.total() * 2 else None

    def _stated(self, hosted: HostedId, open_weights: bool | None) -> RecordGroup | None:
        """The group with a stated id: by name, or by the name without words for price and speed."""
        plain = undecorated(hosted.name) if open_weights is not False else None
        group = self._stated_name(hosted.name, hosted.lab)
        return group or (self._stated_name(plain, hosted.lab) if plain else None)

    def _stated_name(self, name: str, lab: str | None) -> RecordGroup | None:
        """The lab's only canonical id with this name, or stated by rows with this name."""
        if lab is None or self.linker.moving(name):
            return None
        same = self._same_name(name, lab)
        if same and same.id in self._canonical_ids:
            return same
        stated = {g for g in self._rows.get(key(name), ()) if self.groups[g].lab == lab}
        return self.groups[stated.pop()] if len(stated) == 1 else None

    def _new_names(self, rows: list[tuple[Member, str | None, str]]) -> None:
        """Group rows with one name by lab; rows without a lab join the lab if there is only one."""
        by_lab: dict[str, list[tuple[Member, str]]] = defaultdict(list)
        for member, lab, name in rows:
            parts = member.record.key.split("/")
            namespace = parts[-2].lstrip("@").lower() if len(parts) > 2 else ""
            by_lab[lab or namespace].append((member, name))
        if "" in by_lab and len(by_lab) == 2:
            nameless = by_lab.pop("")
            next(iter(by_lab.values())).extend(nameless)
        for lab, named_members in sorted(by_lab.items()):
            name = majority(slug(name) for _, name in named_members) or "unnamed"
            host = min(member.record.key.partition("/")[0] for member, _ in named_members)
            group = self._group(f"{lab or host}/{name}")
            for member, _ in named_members:
                self._join(group, member, "same name" if len(named_members) > 1 else "unmatched")

    def _by_name(self, member: Member) -> None:
        """Group a recipe or repository without a Hugging Face repository by its name."""
        name = member.record.name or member.record.key
        twin = self._sets.get(key(name)) if member.record.kind == "set" else None
        if twin:
            self._join(self.groups[twin], member, "same set")
            return
        lab = self.curated.families.get(next(iter(tokens(name)), ""))
        group = self._same_name(name, lab) or self._group(f"{lab or member.source}/{slug(name)}")
        self._join(group, member, "same name")

    def _same_name(self, name: str, lab: str | None) -> RecordGroup | None:
        """The only group with that name; of the same lab, if both labs are known."""
        ids = sorted(self._names.get(key(name), ()))
        if lab is not None:
            ids = [f for f in ids if self.groups[f].lab in (lab, None)]
        return self.groups[ids[0]] if len(ids) == 1 else None

    # --- groups ----------------------------------------------------------------------------

    def _group(self, model_id: str) -> RecordGroup:
        group = self.groups.get(model_id)
        if group is None:
            lab = self.curated.lab(model_id.partition("/")[0])
            group = self.groups[model_id] = RecordGroup(model_id, lab)
            self._names[key(short(model_id))].add(model_id)
        return group

    def _join(self, group: RecordGroup, member: Member, reason: str) -> None:
        group.members.append(Member(member.source, member.retrieved_at, member.record, reason))

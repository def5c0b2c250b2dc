"""``make bench-links``: which repository a hosted id means, measured against known links.

    python -m benchmarks.bench_links [TRUTH.tsv] [--json FILE]

The truth file has a header and the columns ``models_dev_id``, ``id_kind`` (canonical |
provider-model) and ``hf_repo``. An answer is what the catalog says: the repositories of the model
that the id belongs to; for an id that the bundled data lacks, what the rules say of the id alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from modelscan.catalog.curated import curated
from modelscan.catalog.link.groups import RecordGroup
from modelscan.catalog.link.join import Grouping
from modelscan.catalog.records import GPUSTACK, MODELSDEV
from modelscan.catalog.sources.bundled import bundled_snapshots

TRUTH = Path(__file__).resolve().parents[2] / "shared" / "data" / "truth" / "links_fit.tsv"
LEAST_PRECISION, LEAST_RECALL = 0.99, 0.92


class Answer(NamedTuple):
    """One row of the truth and what the catalog says."""

    id: str
    truth: str
    repos: tuple[str, ...]  # () = not linked
    rule: str | None

    @property
    def right(self) -> bool:
        return self.truth.lower() in (repo.lower() for repo in self.repos)


def answers(grouping: Grouping, groups: Sequence[RecordGroup], truth: Path) -> list[Answer]:
    """What the catalog says of each row."""
    by_id = {group.id: group for group in groups}
    by_offering = {m.record.key: g for g in groups for m in g.members if m.source == MODELSDEV}
    found = []
    with truth.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            identifier, canonical = row["models_dev_id"], row["id_kind"] == "canonical"
            group = by_id.get(identifier.lower()) if canonical else by_offering.get(identifier)
            found.append(_answer(grouping, group, identifier, row["hf_repo"], canonical))
    return found


def _answer(
    grouping: Grouping, group: RecordGroup | None, identifier: str, truth: str, canonical: bool
) -> Answer:
    if group is not None:
        rules = [group.links[repo] for repo in group.repos]
        return Answer(identifier, truth, group.repos, next(iter(rules), None))
    link = grouping.linker.link(identifier, provider=not canonical)
    return Answer(identifier, truth, (link.repo,) if link else (), link.rule if link else None)


def report(found: Sequence[Answer]) -> dict[str, object]:
    """Precision over the linked, recall over all."""
    linked = [a for a in found if a.repos]
    right = [a for a in linked if a.right]
    return {
        "rows": len(found),
        "linked": len(linked),
        "right": len(right),
        "precision": round(len(right) / len(linked), 4) if linked else None,
        "recall": round(len(right) / len(found), 4) if found else None,
        "wrong": [{"id": a.id, "said": a.repos, "is": a.truth} for a in linked if not a.right],
        "missed": [{"id": a.id, "is": a.truth} for a in found if not a.repos],
        "rules": dict(Counter(a.rule for a in right).most_common()),
    }


def recipes(groups: Sequence[RecordGroup]) -> dict[str, object]:
    """GPUStack's sets: how many belong to a model that models.dev lists, and which do not."""
    sets: dict[str, tuple[str, bool]] = {}
    for group in groups:
        sources = {m.source for m in group.members}
        for member in group.members:
            if member.source == GPUSTACK and member.record.name:
                joined = MODELSDEV in sources
                known = sets.get(member.record.name)
                sets[member.record.name] = (group.id, joined or bool(known and known[1]))
    unlinked = sorted(name for name, (_, joined) in sets.items() if not joined)
    return {"sets": len(sets), "linked": len(sets) - len(unlinked), "unlinked": unlinked}


def hosted(groups: Sequence[RecordGroup]) -> dict[str, object]:
    """Provider rows of open models: how many have a repository."""
    rows = linked = 0
    for group in groups:
        for member in group.members:
            if member.source == MODELSDEV and member.record.facts.get("open_weights"):
                rows += 1
                linked += bool(group.links)
    return {"open_rows": rows, "linked": linked, "share": round(linked / rows, 4) if rows else None}


def main(arguments: Sequence[str]) -> int:
    """Print the report; 1 when precision or recall is below its aim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("truth", nargs="?", type=Path, default=TRUTH)
    parser.add_argument("--json", type=Path, help="also write the report here")
    given = parser.parse_args(arguments)
    grouping = Grouping(bundled_snapshots(), curated())
    groups = grouping.run()
    result: dict[str, object] = {"gpustack": recipes(groups), "hosted": hosted(groups)}
    if given.truth.is_file():
        result["links"] = report(answers(grouping, groups, given.truth))
    else:
        print(f"{given.truth} is not here: only counts", file=sys.stderr)
    print(json.dumps(result, indent=1, ensure_ascii=False))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if good(result.get("links")) else 1


def good(links: object) -> bool:
    """Both aims are met, or there is nothing to measure."""
    if not isinstance(links, dict):
        return True
    return bool(links["precision"] >= LEAST_PRECISION and links["recall"] >= LEAST_RECALL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Mutation check of the pure rooms: which small changes of the code does no test notice?

    python -m scripts.mutate                         # every module of tests/mutation.yaml (hours)
    python -m scripts.mutate modelscan/planner/*.py  # these modules
    python -m scripts.mutate --sample                # the seeded sample that CI runs

Every mutant runs in a copy of the tree against the tests that run its line, shortest first, until
one fails. Survivors are printed with file:line and the change. Mutants that change no behaviour
are listed with the reason in tests/mutation_equivalent.yaml; any other survivor makes the exit
status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.mutation.mutants import Mutant, mutants_of
from scripts.mutation.plugin import Run
from scripts.mutation.run import baseline, killed, tree_copy

REPOSITORY = Path(__file__).resolve().parent.parent
SETTINGS = REPOSITORY / "tests" / "mutation.yaml"
EQUIVALENT = REPOSITORY / "tests" / "mutation_equivalent.yaml"
_SLOWER = 10  # a mutant may make the tests this many times slower before it counts as a hang
_START_S = 60.0  # and importing everything on a busy machine


@dataclass(frozen=True, slots=True)
class Group:
    """Modules with the tests that cover them, all as paths relative to the repository."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    mutants: int | None = None  # None: all of them


def groups(settings: Mapping[str, Any], chosen: Sequence[str]) -> list[Group]:
    """The modules to mutate; each belongs to the first rule that names it."""
    taken: set[str] = set()
    found = []
    for rule in settings["rules"]:
        modules = [name for name in _files(rule["modules"]) if name not in taken]
        taken.update(modules)
        modules = [name for name in modules if not chosen or name in chosen]
        if modules:
            found.append(Group(tuple(modules), tuple(rule["tests"])))
    unknown = set(chosen) - taken
    if unknown:
        raise SystemExit(f"no rule of {SETTINGS.name} names {', '.join(sorted(unknown))}")
    return found


def sample_groups(settings: Mapping[str, Any]) -> list[Group]:
    """The sample's modules, each with its tests and number of mutants."""
    return [
        Group(_files([row["module"]]), tuple(row["tests"]), row["mutants"])
        for row in settings["sample"]
    ]


def _files(patterns: Sequence[str]) -> tuple[str, ...]:
    """Modules in a stable order; a pattern that matches nothing is an error, not an empty run."""
    found: list[str] = []
    for pattern in patterns:
        paths = [path for path in sorted(REPOSITORY.glob(pattern)) if path.name != "__init__.py"]
        if not paths:
            raise SystemExit(f"{SETTINGS.name}: nothing matches {pattern}")
        found += [path.relative_to(REPOSITORY).as_posix() for path in paths]
    return tuple(dict.fromkeys(found))


def sampled(mutants: Sequence[Mutant], count: int | None, seed: str) -> list[Mutant]:
    """``count`` of them, by a hash of each: an edit elsewhere changes few of the choices."""
    if count is None:
        return list(mutants)
    ranked = sorted(mutants, key=lambda m: hashlib.sha256(f"{seed}|{m.key}".encode()).digest())
    return sorted(ranked[:count], key=lambda mutant: (mutant.path, mutant.line))


def covering(mutant: Mutant, runs: Mapping[str, Run]) -> list[str]:
    """The tests that run the mutant's statement, shortest first.

    What runs at import time (constants, defaults) counts as run by every test of the module.
    """
    lines = range(mutant.first, mutant.last + 1)
    found = []
    for nodeid, run in runs.items():
        if mutant.at_import:
            covered = any(path == mutant.path for path, _ in run.lines)
        else:
            covered = any((mutant.path, line) in run.lines for line in lines)
        if covered:
            found.append((run.seconds, nodeid))
    return [nodeid for _, nodeid in sorted(found)]


def equivalents() -> set[str]:
    """Keys of the mutants that change no behaviour."""
    rows = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or {}
    return {
        f"{path}|{row['in'] or ''}|{row['before']}|{row['after']}"
        for path, mutants in rows.items()
        for row in mutants
    }


@dataclass(slots=True)
class Tally:
    """What a run has counted."""

    run: int = 0
    killed: int = 0
    equivalent: int = 0
    survivors: int = 0


def check(tree: Path, group: Group, seed: str, known: set[str], tally: Tally) -> None:
    """Run a group's mutants and print the survivors."""
    runs = baseline(tree, group.tests, group.modules)
    for path in group.modules:
        mutants = mutants_of(path, (REPOSITORY / path).read_text(encoding="utf-8"))
        for mutant in sampled(mutants, group.mutants, seed):
            if mutant.key in known:
                tally.equivalent += 1
                continue
            tally.run += 1
            if _is_killed(tree, mutant, runs):
                tally.killed += 1
            else:
                tally.survivors += 1
                _print_survivor(mutant)
        _print(f"{path}: {tally.run} run, {tally.killed} killed so far")


def _is_killed(tree: Path, mutant: Mutant, runs: Mapping[str, Run]) -> bool:
    tests = covering(mutant, runs)
    if not tests:
        return False
    seconds = _START_S + _SLOWER * sum(runs[nodeid].seconds for nodeid in tests)
    return killed(tree, mutant.path, mutant.source, tests, seconds)


def _print_survivor(mutant: Mutant) -> None:
    _print(f"{mutant.path}:{mutant.line}: survived in {mutant.scope or 'the module'}")
    _print(f"  - {mutant.before}\n  + {mutant.after}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*", help="paths of modules (default: all of them)")
    parser.add_argument("--sample", action="store_true", help="only the sample that CI runs")
    parser.add_argument("--seed", help="another sample than CI's")
    options = parser.parse_args()
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    chosen = sample_groups(settings) if options.sample else groups(settings, options.modules)
    seed, tally, started = options.seed or str(settings["seed"]), Tally(), time.monotonic()
    known = equivalents()
    with tree_copy(REPOSITORY) as tree:
        for group in chosen:
            check(tree, group, seed, known, tally)
    _print(
        f"{tally.run} mutants, {tally.killed} killed, {tally.survivors} survived, "
        f"{tally.equivalent} equivalent, {time.monotonic() - started:.0f} s"
    )
    return 1 if tally.survivors else 0


if __name__ == "__main__":
    sys.exit(main())

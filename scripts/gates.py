"""docs/reference/gates.md: what a release must reach, with the figures that were measured.

    python -m scripts.gates [NAME…]      # measure (default: all that need nothing extra)
    python -m scripts.gates --list

Each gate is measured by its own command, and its figure is read from the command's output. The
figures are stored with time, commit and machine in docs/gates.json; nothing writes one by hand.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from scripts.docs_features import TABLE, counts, read_table

REPOSITORY = Path(__file__).resolve().parent.parent
FIGURES = REPOSITORY / "docs" / "gates.json"
Kind = Literal["parity", "performance", "stability", "capability", "critical path"]
_PYTHON = sys.executable
_NOT_KNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Gate:
    """``pattern``: of the command's output, its first group is the figure. ``bound``: the least
    (``at_least``) or the most that is accepted. ``extra``: what has to be installed first; such a
    gate is only measured by its name.
    """

    name: str
    kind: Kind
    statement: str
    command: tuple[str, ...]
    pattern: str
    unit: str
    bound: float
    at_least: bool = False
    extra: str | None = None

    def met(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound


def _tests(*files: str) -> tuple[str, ...]:
    return (_PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-rN", "--tb=no", *files)


_PASSED = r"(\d+) passed"
GATES: tuple[Gate, ...] = (
    Gate("features", "parity", "features that a test shows",
         (_PYTHON, "-m", "scripts.gates", "--count"), r"works (\d+)", "of 228", 200, True),
    Gate("linked", "parity", "hosted rows of open models that are linked to their weights",
         (_PYTHON, "-m", "benchmarks.bench_links"), r'"share": ([\d.]+)\s*\}\s*\}', "share", 0.9,
         True),
    Gate("start", "performance", "CPU time of `modelscan --version`, to a bare interpreter's",
         (_PYTHON, "benchmarks/bench_cli.py", "--no-peers", "--rounds", "7"),
         r"modelscan --version\s+[\d.]+\s+([\d.]+)x", "times", 2.0),
    Gate("help", "performance", "CPU time of `modelscan --help`, to a bare interpreter's",
         (_PYTHON, "benchmarks/bench_cli.py", "--no-peers", "--rounds", "7"),
         r"modelscan --help\s+[\d.]+\s+([\d.]+)x", "times", 8.0),
    Gate("gateway", "performance", "CPU time of a request through the whole gateway, to nginx's",
         (_PYTHON, "-m", "benchmarks.bench_gateway", "--rounds", "1", "--only", "modelscan,nginx"),
         r"\| modelscan \|(?:[^|]*\|){6} ([\d.]+) \|", "times", 6.0, extra="wrk, gcc, nginx"),
    Gate("fuzz", "stability", "kinds of fault in 3,000 damaged configs, headers and probe texts",
         (_PYTHON, "-m", "scripts.fuzz", "--runs", "3000", "--seed", "1"),
         r"(\d+) kinds of fault", "faults", 0),
    Gate("crash", "stability", "kill -9 at every step of deploy, start, stop and remove: tests",
         _tests("tests/deploy/test_crash.py", "-m", "not slow"), _PASSED, "passed", 4, True),
    Gate("plans", "capability",
         "plans of the 300 most used models on 40 machines that break the support matrix",
         (_PYTHON, "-m", "benchmarks.bench_plan", "--models", "300"), r"violations: (\d+)",
         "plans", 0),
    Gate("memory", "capability",
         "memory estimates to llama.cpp's own dry runs: 95th percentile of the total's error",
         (_PYTHON, "-m", "benchmarks.bench_memory", "--live-only", "--no-gpu-engines"),
         r"\btotal\s+[\d.]+%\s+([\d.]+)%", "%", 1.0),
    Gate("golden", "capability", "plans that are exactly those of the reviewed table: tests",
         _tests("tests/planner/test_golden.py"), _PASSED, "passed", 2, True),
    Gate("sandbox", "capability", "references pass and planted cheats fail in the sandbox: tests",
         _tests("tests/evals/test_eval_sandbox.py"), _PASSED, "passed", 6, True,
         extra="bubblewrap"),
    Gate("path", "critical path",
         "find, plan, deploy, ask, stop and remove a model by tools, confirmed: tests",
         _tests("tests/mcp/test_assistant_tools.py", "-k", "life"), _PASSED, "passed", 2, True),
    Gate("lifecycle", "critical path", "the life of a deployment on a real engine: tests",
         _tests("tests/deploy/test_lifecycle.py"), _PASSED, "passed", 20, True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GateFigure:
    """A figure as it was measured."""

    value: float
    command: str
    at: str
    commit: str
    machine: str
    load: float


def measure(gate: Gate) -> GateFigure:
    """Run a gate's command. Raises ValueError where its output has no figure."""
    done = subprocess.run(gate.command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = re.findall(gate.pattern, done.stdout + done.stderr)
    if not found:
        raise ValueError(f"{gate.name}: no figure in the output\n{done.stdout[-2000:]}")
    words = ["python", *gate.command[1:]] if gate.command[0] == _PYTHON else list(gate.command)
    return GateFigure(
        float(found[-1]), " ".join(words), _now(), _commit(), _machine(), os.getloadavg()[0]
    )


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


def _commit() -> str:
    done = subprocess.run(
        ("git", "rev-parse", "--short=12", "HEAD"),
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or _NOT_KNOWN


def _machine() -> str:
    python = platform.python_version()
    return f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {python}"


def read_figures() -> dict[str, GateFigure]:
    """The stored figures by the names of their gates."""
    if not FIGURES.is_file():
        return {}
    stored: Mapping[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    return {name: GateFigure(**row) for name, row in stored.items()}


def write_figures(figures: Mapping[str, GateFigure]) -> None:
    """Store the figures of the gates that exist."""
    rows = {one.name: asdict(figures[one.name]) for one in GATES if one.name in figures}
    FIGURES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def gates_page() -> str:
    """The page, from the table of gates and the stored figures."""
    figures = read_figures()
    lines = [
        "# Gates", "",
        "What a release must reach. Each figure was written by the command that measured it",
        "(`make gates`), with its time, commit and machine; without one it is not measured.",
        "",
    ]  # fmt: skip
    for kind in dict.fromkeys(one.kind for one in GATES):
        lines += [f"## {kind.capitalize()}", "", "| Gate | Needed | Measured | | When, where |",
                  "|---|---|---|---|---|"]  # fmt: skip
        lines += [_line(one, figures.get(one.name)) for one in GATES if one.kind == kind]
        lines.append("")
    return "\n".join([*lines, *_commands(figures)])


def _line(gate: Gate, figure: GateFigure | None) -> str:
    sign = "at least" if gate.at_least else "at most"
    needed = f"{sign} {gate.bound:g} {gate.unit}".strip()
    if figure is None:
        return f"| {gate.statement} | {needed} | – | not measured | – |"
    outcome = "met" if gate.met(figure.value) else "**not met**"
    where = f"{figure.at}, {figure.commit}, load {figure.load:.1f}"
    return f"| {gate.statement} | {needed} | {figure.value:g} {gate.unit} | {outcome} | {where} |"


def _commands(figures: Mapping[str, GateFigure]) -> Iterator[str]:
    yield from ("## Commands", "", "| Gate | Command | Machine |", "|---|---|---|")
    for gate in GATES:
        figure = figures.get(gate.name)
        if figure is not None:
            yield f"| {gate.statement} | `{figure.command}` | {figure.machine} |"
    yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, list, or print how many features have which state."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="gates (default: all that need nothing extra)")
    parser.add_argument("--list", action="store_true", help="print the gates")
    parser.add_argument("--count", action="store_true", help="print the states of the features")
    options = parser.parse_args(arguments)
    if options.count:
        rows = counts(read_table(TABLE.read_text(encoding="utf-8")))
        sys.stdout.write("".join(f"{state} {number}\n" for state, number in rows.items()))
        return 0
    if options.list:
        sys.stdout.write("".join(f"{one.name}\t{one.statement}\n" for one in GATES))
        return 0
    return _measure_all(options.names)


def _measure_all(names: Sequence[str]) -> int:
    """Measure and store; 1 where a gate is not met."""
    chosen = [one for one in GATES if (one.name in names if names else one.extra is None)]
    figures, failed = read_figures(), False
    for gate in chosen:
        figures[gate.name] = measure(gate)
        met = gate.met(figures[gate.name].value)
        failed = failed or not met
        sys.stdout.write(f"{gate.name}: {figures[gate.name].value:g} {gate.unit}"
                         f" ({'met' if met else 'not met'})\n")  # fmt: skip
        write_figures(figures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Imports run one way, without circles; nothing heavy at module level; pure rooms stay pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "modelscan"

# The rooms of the house on their steps, the lowest first; those of one step are siblings.
LAYERS = (
    ("core",),
    ("formats",),
    ("net", "state"),
    ("hub", "manual"),
    ("catalog", "gpu", "memory", "registry"),
    ("engines",),
    ("planner",),
    ("models",),
    ("supervisor", "routing"),
    ("targets",),
    ("deploy",),
    ("traces",),
    ("bench",),
    ("evals",),
    ("recipes", "promotion"),
    ("gateway",),
    ("api",),
    ("web", "mcp"),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
PURE_ROOMS = ("core", "formats", "memory", "engines", "planner")
PURE_FILES = (
    "routing/resolve.py", "routing/schema.py", "routing/edit.py", "routing/policy.py",
    "routing/prompts.py", "routing/choose.py", "routing/scoring.py", "routing/compile.py",
    "routing/world.py", "routing/table.py", "routing/checks.py",
    "routing/relations.py", "routing/presets.py", "routing/facts.py", "routing/select.py",
    "routing/effective.py", "routing/lookup.py", "routing/automatic.py",
    "routing/automatic_rules.py", "routing/built_in.py", "routing/format.py",
    "routing/role_format.py", "routing/parsed.py",
    "routing/explain.py", "routing/plano.py", "routing/match.py", "routing/listing.py", "routing/place_edit.py",
    "routing/role_answers.py", "routing/codewhale.py", "routing/memo.py", "routing/reported.py",
    "routing/exports/plano.py", "routing/tool_policy.py", "routing/tool_format.py",
    "bench/report_reader.py", "bench/stream.py", "bench/slo.py", "bench/report.py",
    "bench/checks.py", "bench/evaluation_catalog.py", "bench/workload.py", "bench/cases.py", "bench/dataset.py",
    "bench/compare.py", "bench/request.py", "bench/request_body.py", "bench/matching.py",
    "evals/items.py", "evals/job.py", "evals/report.py", "evals/compare.py", "evals/board.py",
    "evals/scoring.py", "evals/suites/json_values.py", "evals/suites/review.py",
    "evals/suites/documents.py", "evals/suites/release.py", "evals/suites/tools.py",
    "evals/suites/structured.py", "evals/suites/planted.py",
    "evals/quantization/distributions.py", "evals/quantization/agreement.py",
    "gateway/control/wake/schedule.py", "gateway/control/wake/situation.py",
    "gateway/control/wake/backoff.py", "gateway/data/loading.py",
    "traces/redaction/detector.py", "traces/redaction/keys.py", "traces/redaction/places.py",
    "traces/redaction/other_services.py", "traces/redaction/random_values.py",
    "traces/redaction/redact.py", "traces/messages.py", "traces/otlp.py", "traces/spans.py",
    "traces/near_duplicates.py", "gateway/data/tools.py", "gateway/data/left.py",
    "promotion/types.py", "promotion/progress.py", "promotion/gates.py", "promotion/canary.py",
    "promotion/bundle.py",
    "registry/policy.py", "registry/policy_format.py", "registry/gates.py",
    "registry/curation.py", "registry/results.py", "registry/matching.py",
    "registry/event_lines.py", "gateway/control/stream/frames.py",
    "web/words.py", "web/charts/bar.py", "web/charts/curve.py", "web/charts/frame.py",
    "web/charts/intervals.py", "web/charts/scatter.py", "web/charts/spark.py",
    "web/charts/course.py", "web/charts/pace.py", "web/pages/courses.py",
    "gateway/top/shares.py",
    "web/charts/waterfall.py", "web/pages/compare.py", "web/pages/deployment.py",
    "web/pages/find.py", "web/pages/here.py", "web/pages/model.py", "web/pages/scores.py",
    "web/pages/system.py", "web/pages/registry.py", "web/pages/traffic.py", "web/series.py",
    "recipes/naming.py", "recipes/kind.py", "recipes/types.py", "recipes/sizes.py",
    "recipes/fitting.py", "recipes/leaving.py", "recipes/folder_text.py", "recipes/job_fit.py",
    "recipes/kinds/quantize.py", "recipes/kinds/training.py", "recipes/kinds/unsloth.py",
    "recipes/kinds/peft.py", "recipes/kinds/nemo.py", "recipes/kinds/merge.py",
    "recipes/kinds/dataset.py",
    "net/address.py", "net/conditional.py", "net/errors.py", "net/exchange.py",
)  # fmt: skip
IMPURE = {
    "os", "socket", "subprocess", "time", "httpx", "shutil", "tempfile", "random", "sqlite3",
    "requests", "urllib.request", "http",
}  # fmt: skip


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in files()}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a tree imports, wherever in it; ``from a import b`` is a.b if that is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                child = f"{node.module}.{alias.name}"
                yield child if child in MODULES else node.module


def graph() -> dict[str, set[str]]:
    """Our modules and the ones of ours that each imports."""
    return {
        name: {other for other in imported(ast.parse(path.read_text())) if other in MODULES}
        for name, path in MODULES.items()
    }


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            at = stack.index(node)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                components.append(sorted(component))

    for node in sorted(edges):
        if node not in number:
            visit(node)
    return components


def folders(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same arrows between folders inside rooms; a folder's parent and children do not count."""

    def folder(module: str) -> str:
        path = MODULES[module]
        return path.parent.relative_to(PACKAGE).as_posix()

    joined: dict[str, set[str]] = {folder(module): set() for module in edges}
    for module, others in edges.items():
        own = folder(module)
        for other in (folder(name) for name in others):
            nested = (
                other.startswith(f"{own}/") or own.startswith(f"{other}/") or "." in (own, other)
            )
            if other != own and not nested:
                joined[own].add(other)
    return joined


def test_every_folder_has_a_place() -> None:
    """A new package must be put on a step."""
    there = {room(name) for name, path in MODULES.items() if path.parent != PACKAGE}
    assert there <= set(RANK)


def test_imports_run_one_way() -> None:
    """A module imports its own room or a step below, never a sibling or a step above."""
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in sorted(others)
        if room(name) in RANK and room(other) in RANK and room(name) != room(other)
        if RANK[room(other)] >= RANK[room(name)]
    ]
    assert wrong == []


def test_no_circles() -> None:
    """Neither between modules nor between the folders of a room."""
    assert circles(graph()) == []
    assert circles(folders(graph())) == []


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "d"}}
    assert circles(edges) == [["a", "b", "c"]]


def pure() -> list[Path]:
    rooms = [path for path in files() if path.relative_to(PACKAGE).parts[0] in PURE_ROOMS]
    return [*rooms, *(PACKAGE / name for name in PURE_FILES)]


def test_pure_rooms_have_no_way_out() -> None:
    """No files, network, clock, environment or printing where decisions are made."""
    wrong = []
    for path in pure():
        tree = ast.parse(path.read_text())
        names = {n for n in imported(tree) if n in IMPURE or n.split(".")[0] in IMPURE}
        calls = {
            n.func.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        wrong += [f"{path}: {name}" for name in sorted(names | calls & {"open", "print", "input"})]
    assert wrong == []


def mutable_globals(tree: ast.Module) -> Iterator[str]:
    """Module-level names that some function changes: ``global``, or a call that changes in place."""
    top = {
        target.id
        for node in tree.body
        for target in (node.targets if isinstance(node, ast.Assign) else [])
        if isinstance(target, ast.Name)
    } | {
        node.target.id
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    changing = {"append", "add", "update", "setdefault", "pop", "clear", "extend", "insert"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            value = node.func.value
            if node.func.attr in changing and isinstance(value, ast.Name) and value.id in top:
                yield value.id


def test_pure_rooms_keep_no_state() -> None:
    """No module-level value that a function changes: a threaded server would share it."""
    wrong = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in pure()
        for name in mutable_globals(ast.parse(path.read_text()))
    ]
    assert wrong == []


def calls_print(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(n, ast.Name) and n.id == "print" for n in nodes)


def writes_stdout(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(n, ast.Attribute) and n.attr == "stdout" for n in nodes)


def test_only_output_prints() -> None:
    """``print`` is nowhere; stdout belongs to output.py and the two entry points."""
    assert [p for p in files() if calls_print(p)] == []
    allowed = {"cli/output.py", "cli/app.py", "__main__.py"}
    writers = {str(p.relative_to(PACKAGE)) for p in files() if writes_stdout(p)}
    assert {w for w in writers if w.startswith(("cli/", "__main__"))} <= allowed


def test_help_and_version_import_nothing_heavy() -> None:
    """Start-up is a feature: --help loads no HTTP client, no YAML, no table printer."""
    code = (
        "import sys; from modelscan.cli.app import run; run(['--help']);"
        "heavy={'httpx','rich','yaml','ruamel','psutil','pynvml','xllamacpp','sqlite3','pydantic',"
        "'huggingface_hub','inspect_ai','openai','starlette','uvicorn','uvloop','sqlalchemy','asyncio','rich.console'};"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""

"""The registry: every engine has its folder, and its name stands nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.deployments import plan

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.gpu import Gpu
from modelscan.core.workload import BACKENDS, Backend, Workload
from modelscan.engines.option_names import LaunchSettings
from modelscan.engines.registry import ENGINES, engine, engine_for, engines
from modelscan.supervisor.launch.registry import LAUNCHERS, launcher

PACKAGE = Path(__file__).resolve().parents[2] / "modelscan"
FOLDERS = {name: f"engines/{name.replace('.', '')}/" for name in BACKENDS}
# Where a name may stand outside of its folder, and why.
EXCEPTIONS = {
    "core/workload.py": "the one definition of the names",
    "core/launch.py": "the tag of a record for that kind of target",
    "core/deployment.py": "the tag of a record for that kind of target",
    "state/records.py": "records as earlier versions wrote them",
    "state/doubled.py": "measurements as earlier versions wrote them",
    "catalog/curated.py": "the key of a curated list of names that Ollama's users type",
    "core/route.py": "the type of an entry of the routing file",
    "hub/neighbours/llamacpp_cache.py": "the name of the folder of llama.cpp's own programs",
    "gpu/support.py": "a room below the engines: which of them can use a device at all",
}


def literals(path: Path) -> set[str]:
    """The engines whose name is a string of its own in this file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {name for name in BACKENDS if name in texts}


def test_a_name_stands_in_its_own_folder_only() -> None:
    """Another room asks for a property of the engine, such as ``reserves_pool``."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        at = path.relative_to(PACKAGE).as_posix()
        strangers = {name for name in literals(path) if not at.startswith(FOLDERS[name])}
        if strangers and at not in EXCEPTIONS:
            wrong.append(f"{at}: {', '.join(sorted(strangers))}")
    assert wrong == []


def test_exceptions_are_needed() -> None:
    assert all(literals(PACKAGE / at) for at in EXCEPTIONS)


def test_the_registry_has_every_name() -> None:
    assert tuple(ENGINES) == BACKENDS
    assert [one.name for one in engines()] == list(BACKENDS)
    with pytest.raises(UsageError, match="there is no backend 'mindie'"):
        engine("mindie")
    assert engine_for("gguf").name == "llama.cpp"
    assert engine_for("safetensors").name == "vllm"


@pytest.mark.parametrize("name", BACKENDS)
def test_an_engine_answers_everything(name: str) -> None:
    one = engine(name)
    card = Gpu(0, "card", "nvidia", 24 << 30, 23 << 30, "simulated", compute_capability="8.9")
    assert one.gpu_support("BF16", card, original=True)
    assert one.task_support("speech_to_text" if one.needs_recipe else "chat")
    assert not one.task_support("image")
    assert one.residuals(None, 1).floor_bytes > 0
    assert one.parse_log("nothing").empty
    assert one.measured("nothing") is None
    assert one.failure("nothing") is None
    options = dict(one.options(LaunchSettings(name, "chat", 4096, 2, 2, gpu_count=2), Workload()))
    counted = one.option_names.all
    assert set(options) <= counted, "an option that the plan writes is one that the estimate reads"
    sized = "4096" in options.values() or "8192" in options.values()
    assert sized is not one.needs_recipe, "the recipe has the options"


def test_what_can_be_started_here() -> None:
    """An engine with a server of its own has no launcher; every other one has."""
    assert set(LAUNCHERS) == {one.name for one in engines() if not one.own_server}
    assert all(launcher(name) for name in LAUNCHERS)
    with pytest.raises(NotDeployableError, match="cannot start ollama"):
        launcher("ollama")


@pytest.mark.parametrize(
    ("backend", "source", "repo", "files", "expected"),
    [
        ("llama.cpp", "huggingface", "o/r-GGUF", ("a b.gguf",), "llama-server -hf o/r-GGUF -hff 'a b.gguf' -c 8"),
        ("llama.cpp", "local_path", "/m", ("x.gguf",), "llama-server -m /m/x.gguf -c 8"),
        ("llama.cpp", "local_path", "/m/x.gguf", ("x.gguf",), "llama-server -m /m/x.gguf -c 8"),
        ("vllm", "huggingface", "o/r", (), "vllm serve o/r -c 8"),
        ("vllm", "modelscope", "o/r", (), "VLLM_USE_MODELSCOPE=True vllm serve o/r -c 8"),
        ("sglang", "huggingface", "o/r", (), "python3 -m sglang.launch_server --model-path o/r -c 8"),
        ("ollama", "huggingface", "o/r-GGUF", (), "ollama run hf.co/o/r-GGUF:F16"),
        ("ollama", "huggingface", "o/r-GGUF", ("r-Q8_0.gguf",), "ollama run hf.co/o/r-GGUF:Q8_0"),
        ("ollama", "huggingface", "o/r-GGUF", ("model.gguf",), "ollama run hf.co/o/r-GGUF"),
    ],
)  # fmt: skip
def test_the_line_that_starts_a_plan(
    backend: Backend, source: str, repo: str, files: tuple[str, ...], expected: str
) -> None:
    here = plan(
        backend=backend, source=source, repo=repo, files=files, parameters=("-c", "8"), env={}
    )
    assert engine(backend).start_line(here) == expected

"""One question, one answer: every command that says what would run says the same."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import REPOSITORY, Ran
from support.fake_gpustack import CARD, FakeGpuStack
from support.questions import Question, install, inventory_of, questions, write_models

from modelscan.core.errors import ModelscanError
from modelscan.core.plan import Plan
from modelscan.gpu.simulate import simulate

Run = Callable[..., Ran]
SEEDS, EACH = 20, 10


class Answer(NamedTuple):
    """What a caller says would run; None: it does not say."""

    verdict: str | None
    quantization: str | None = None
    backend: str | None = None
    repo: str | None = None
    context_tokens: int | None = None
    gpus: tuple[int, ...] | None = None
    total_bytes: int | None = None


class Pulled(ModelscanError):
    """Instead of a download: what would be fetched."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("would fetch", code="pulled")
        self.plan = plan


@pytest.fixture(scope="module")
def engines_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_models(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lab(run_in_process: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpuStack]:
    monkeypatch.setenv("LAB_KEY", "gpustack_all_0123456789abcdef")
    with FakeGpuStack() as server:
        assert run_in_process("target", "add", "lab", server.url, "--key", "env:LAB_KEY").code == 0
        monkeypatch.setenv("MODELSCAN_TARGET", "local")
        yield server


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans whose weights ``pull`` would fetch."""
    plans: list[Plan] = []

    def pull(plan: Plan, *_: Any) -> Any:
        plans.append(plan)
        raise Pulled(plan)

    monkeypatch.setattr("modelscan.hub.downloads.pull.pull", pull)
    return plans


def planned(ran: Ran) -> Answer:
    if "error" in ran.json:
        return refused(ran.json["error"])
    plan = ran.json["plan"]
    return Answer(ran.json["verdict"]) if plan is None else answer(plan)


def refused(error: dict[str, Any]) -> Answer:
    known = {"closed_weights": "not_supported", "unsafe_format": "not_supported"}
    return Answer(error["details"].get("verdict") or known.get(error["code"], error["code"]))


def answer(plan: dict[str, Any]) -> Answer:
    return Answer(
        "fits", plan["quantization"], plan["backend"], plan["repo"], plan["context_tokens"],
        tuple(plan["gpus"]), plan["estimate"]["total_bytes"],
    )  # fmt: skip


def of_deploy(ran: Ran) -> Answer:
    body = ran.json
    if "error" in body:
        return refused(body["error"])
    found, row = answer(body["plan"]), body["deployment"]
    told = (row["quantization"], row["backend"], row["context_tokens"], tuple(row["gpus"]))
    assert told == (found.quantization, found.backend, found.context_tokens, found.gpus)
    return found


def of_estimate(ran: Ran, expected: Answer) -> Answer:
    body = ran.json
    if "error" in body:  # an option that the engine does not have, or weights that do not exist
        assert expected.verdict != "fits"
        known = body["error"]["code"] in ("no_such_variant", "usage")
        return expected if known else refused(body["error"])
    if body["verdict"] != "fits":
        assert body["speed"] is None
        return Answer(body["verdict"])
    return Answer(
        "fits", body["quantization"] if expected.quantization else None, body["backend"],
        expected.repo, body["context_tokens"],
        tuple(device["index"] for device in body["per_gpu"]), body["total_bytes"],
    )  # fmt: skip


def of_pull(ran: Ran, fetched: list[Plan], expected: Answer) -> Answer:
    """Of weights that are here already nothing is fetched."""
    error = ran.json["error"]
    if error["code"] == "pulled":
        plan = fetched.pop()
        return Answer(
            "fits", plan.quantization, plan.backend, plan.repo, plan.context_tokens, plan.gpus,
            plan.estimate.total_bytes,
        )  # fmt: skip
    return expected if "on this machine already" in error["message"] else refused(error)


def of_fit(fit: dict[str, Any], expected: Answer) -> Answer:
    if fit["verdict"] != "fits":
        assert fit["reason"] and fit["offload"] is None
        return Answer(fit["verdict"])
    assert fit["needed_bytes"] <= fit["available_bytes"]
    return Answer(
        "fits", fit["quantization"], fit["backend"], expected.repo, fit["context_tokens"],
        expected.gpus, fit["needed_bytes"],
    )  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_caller_gives_the_same_answer(
    seed: int, run_in_process: Run, models: Path, lab: FakeGpuStack, fetched: list[Plan],
    engines_folder: Path,
) -> None:  # fmt: skip
    for question in questions(seed, EACH):
        with pytest.MonkeyPatch.context() as patch:
            prepare(question, lab, engines_folder, patch)
            for caller, found, expected in answers(question, run_in_process, fetched):
                assert found == expected, (caller, question)


def prepare(question: Question, lab: FakeGpuStack, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The machine of a question; its memory does not change between two commands."""
    from modelscan.gpu.inventory import inventory

    if question.place == "real":
        here = inventory_of(question.cards)
        patch.setattr(
            "modelscan.gpu.inventory.inventory",
            lambda spec=None, *_: here if spec is None else inventory(spec),
        )
        install(question.engines, folder, patch)
    (card,) = simulate(question.cards).gpus[:1] if question.place == "cluster" else (None,)
    if card is not None:
        memory = {"total": card.memory_bytes, "allocated": 0, "used": None}
        facts = {"name": card.name, "memory": memory, "compute_capability": card.compute_capability}
        lab.cards = [("one", 1, {**CARD, **facts})]


def answers(
    question: Question, run: Run, fetched: list[Plan]
) -> Iterator[tuple[str, Answer, Answer]]:
    """Who says what, beside what ``plan`` says."""
    words = (*question.words, "--json")
    plan = run("plan", *words)
    expected = planned(plan)
    # A dry run shows how an engine that is named would start once it is installed.
    lacking = [gap["name"] for gap in plan.json.get("missing", ()) if gap["kind"] == "engine"]
    if not set(lacking) & set(words):
        yield "deploy", of_deploy(run("deploy", *words, "--dry-run")), expected
    if question.place == "cluster":
        return
    # With an engine and a context, an estimate is of that launch, without a choice of the cache.
    stated = "--backend" in words or question.model.endswith(".gguf")
    if not (stated and "--context" in words):
        yield "estimate", of_estimate(run("estimate", *words), expected), expected
    if "ollama" not in question.wishes:  # its server fetches for itself
        yield "pull", of_pull(run("pull", *words), fetched, expected), expected
    if "/" not in question.model or question.model.endswith(".json") or question.wishes:
        return
    info = run("catalog", "info", *words).json
    yield "info", of_fit(info["fit"], expected), expected
    compared = run("catalog", "info", "--compare", *words).json["models"][0]
    yield "compare", of_fit(compared["fit"], expected), expected
    listed = run("catalog", "search", question.model, "--fits", *words[1:]).json["models"]
    shown = {row["id"]: row["fit"] for row in listed}
    assert (question.model in shown) == (expected.verdict == "fits"), question
    if question.model in shown:
        yield "--fits", of_fit(shown[question.model], expected), expected


@pytest.mark.timeout(900)
@pytest.mark.parametrize("gpu", ["RTX 4090", "RTX 3060 12GB"])
def test_what_is_listed_as_runnable_has_that_plan(
    run_in_process: Run, monkeypatch: pytest.MonkeyPatch, gpu: str
) -> None:
    listed = run_in_process("catalog", "runnable", "--gpu", gpu, "--limit", "8", "--json").json
    for row in listed["models"]:
        expected = planned(run_in_process("plan", row["id"], "--gpu", gpu, "--json"))
        assert of_fit(row["fit"], expected) == expected, row["id"]


@pytest.mark.timeout(900)
def test_smaller_models_that_are_offered_have_that_plan(
    run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = ("--gpu", "RTX 4090", "--json")
    offered = run_in_process("plan", "deepseek/deepseek-r1", "--context", "16k", *gpu).json
    assert offered["verdict"] == "does_not_fit" and offered["alternatives"]
    for plan in offered["alternatives"]:
        if plan["model"] == offered["model"]:
            continue
        again = planned(run_in_process("plan", plan["model"], "--context", "16k", *gpu))
        assert answer(plan) == again


@pytest.mark.timeout(900)
def test_none_of_forty_models_that_fit_is_refused(
    run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import random

    gpu = ("--gpu", "RTX 3060 12GB", "--json")
    listed = run_in_process("catalog", "list", "--fits", *gpu).json
    assert listed["total"] == len(listed["models"]) > 500
    for row in random.Random(7).sample(listed["models"], 40):
        ran = run_in_process("plan", row["id"], *gpu)
        assert (ran.code, ran.json["verdict"]) == (0, "fits"), row["id"]


def test_the_planner_has_one_caller() -> None:
    """``models.decide``; the planner itself plans again for relaxed wishes."""
    callers = set()
    for file in sorted((REPOSITORY / "modelscan").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            imported = isinstance(node, ast.ImportFrom) and (
                node.module == "modelscan.planner.decide"
                or (
                    node.module == "modelscan.planner"
                    and any(a.name == "decide" for a in node.names)
                )
            )
            named = isinstance(node, ast.Import) and any(
                alias.name == "modelscan.planner.decide" for alias in node.names
            )
            if imported or named:
                callers.add(file.relative_to(REPOSITORY / "modelscan").as_posix())
    assert callers == {"models/decide.py"}

"""The cause of failed starts: the last error of the deepest process, with the remedy of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from support.failed_starts import FAILED_STARTS, FailedStart
from support.failed_starts_outside import OUTSIDE

from modelscan.core.errors import UsageError
from modelscan.engines.base import KINDS, FailureKind
from modelscan.engines.explain import explain_log
from modelscan.engines.registry import engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ran


@pytest.mark.parametrize(
    "one", (*FAILED_STARTS, *OUTSIDE), ids=lambda one: f"{one.backend}: {one.name}"
)
def test_the_cause(one: FailedStart) -> None:
    failure = engine(one.backend).failure(one.log)
    assert failure is not None
    assert (failure.kind, one.reason in failure.reason) == (one.kind, True), failure
    assert one.hint in (failure.hint or ""), failure
    assert " ".join(failure.remedy.options() if failure.remedy else ()) == one.retry
    assert "pid=" not in failure.reason
    assert "input_value" not in failure.reason
    assert failure.line is not None
    assert failure.port_taken is (one.kind == "port" and one.name != "port of the ranks")
    words = one.reason.split(";")[0].split(":")[-1].strip()
    near = one.log.splitlines()[failure.line - 2 : failure.line + 4]
    assert any(words in line for line in near) or "nccl" in one.name, near


def test_every_kind_is_described_and_has_an_excerpt() -> None:
    assert set(KINDS) == set(get_args(FailureKind))
    tested = {one.kind for one in (*FAILED_STARTS, *OUTSIDE)}
    recorded = {"context", "quantization", "split", "package"}  # in test_failures
    assert set(KINDS) - tested <= recorded


@pytest.mark.parametrize(
    "one", [*FAILED_STARTS[:3], *FAILED_STARTS[-8:-4]], ids=lambda one: one.name
)
def test_the_engine_is_recognised(one: FailedStart) -> None:
    answer = explain_log(one.log)
    assert (answer.backend, answer.kind) == (one.backend, one.kind)


def test_a_log_without_an_error() -> None:
    answer = explain_log("INFO 10-11 10:42:02 [x.py:1] vLLM API server version 0.11.0\n")
    assert (answer.backend, answer.reason, answer.line) == ("vllm", None, None)
    with pytest.raises(UsageError):
        explain_log("", "nobody")


def test_explain_reads_a_file(run_in_process: Callable[..., Ran], tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    one = next(one for one in FAILED_STARTS if one.name == "mamba")
    log.write_text(one.log + "VLLM_API_KEY=s3cr3tvalue\n")
    done = run_in_process("explain", str(log), "--json")
    assert (done.json["kind"], done.json["retry"]) == ("memory", "--param max-num-seqs=614")
    assert (done.code, done.json["backend"]) == (0, "vllm")
    assert "s3cr3t" not in done.out
    assert run_in_process("explain", str(tmp_path / "none"), "--json").code == 2


@pytest.mark.parametrize(
    "line", ["(" + "_" * 5000, "(a" * 2500, "a." * 2500 + "Error: ", "TP0 " * 999]
)
@pytest.mark.parametrize("backend", ["vllm", "sglang", "llama.cpp", "ollama"])
def test_a_hostile_line_is_read_at_once(backend: str, line: str) -> None:
    """Patterns that backtrack without an end would hang here."""
    engine(backend).failure(
        f"Traceback (most recent call last):\n{line}\nERROR {line} failed\n" * 3
    )

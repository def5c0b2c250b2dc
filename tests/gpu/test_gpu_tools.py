"""Running vendors' programs: bounded in time and output, nothing left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.gpu_machine import fake_program

from modelscan.gpu.tools import MAX_OUTPUT_BYTES, run_tool, which


def test_output_and_exit_code(tmp_path: Path) -> None:
    fake_program(tmp_path, "tool", 'echo "$1 out"; echo err >&2; exit 9')
    output = run_tool([str(tmp_path / "tool"), "my"])
    assert (output.stdout, output.stderr, output.code) == ("my out\n", "err\n", 9)
    assert not output.ok


def test_a_hanging_program_is_ended_with_its_children(tmp_path: Path) -> None:
    fake_program(tmp_path, "tool", f"sleep 3600 & echo $! > {tmp_path}/child; sleep 3600")
    output = run_tool([str(tmp_path / "tool")], timeout_s=0.5)
    assert output.failure == "timeout"
    assert gone(int((tmp_path / "child").read_text()))


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def test_a_child_that_keeps_the_pipe_open_does_not_hang_us(tmp_path: Path) -> None:
    fake_program(tmp_path, "tool", f"sleep 3600 & echo $! > {tmp_path}/child; echo done; exit 0")
    output = run_tool([str(tmp_path / "tool")], timeout_s=0.5)
    assert output.stdout == "done\n"
    assert gone(int((tmp_path / "child").read_text()))


def test_endless_output_is_cut_off(tmp_path: Path) -> None:
    fake_program(tmp_path, "tool", "yes 0123456789abcdef")
    output = run_tool([str(tmp_path / "tool")], timeout_s=20)
    assert output.failure == "too_much"
    assert len(output.stdout) <= MAX_OUTPUT_BYTES


def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "tool").chmod(0o755)
    assert run_tool([str(tmp_path / "tool")]).failure == "cannot_start"
    assert run_tool([str(tmp_path / "absent")]).failure == "cannot_start"


def test_the_environment_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    fake_program(tmp_path, "tool", "env")
    said = run_tool([str(tmp_path / "tool")]).stdout
    assert "secret" not in said
    assert "LC_ALL=C" in said.split()


def test_output_that_is_no_text(tmp_path: Path) -> None:
    fake_program(tmp_path, "tool", r"printf '\377\376\000abc'")
    assert "abc" in run_tool([str(tmp_path / "tool")]).stdout


def test_which_finds_executables_only(tmp_path: Path) -> None:
    fake_program(tmp_path, "tool", "exit 0")
    (tmp_path / "text").write_text("x")
    environ = {"PATH": f"/nowhere{os.pathsep}{tmp_path}", "MODELSCAN_HOST_ROOT": "x"}
    assert which("tool", environ) == f"{tmp_path}/tool"
    assert which("text", environ) is None

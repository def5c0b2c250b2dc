"""Code of answers: what a program may do in the sandbox, and that cheats do not pass."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.podman import IMAGE, Podman

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.evals import sandbox
from modelscan.evals.items import CodeResult, ModelAnswer, SuiteRequest
from modelscan.evals.sandbox import LIMITS, CodeLimits, choose_sandbox, runner
from modelscan.evals.suites import coding
from modelscan.evals.suites.planted import planted_answers
from modelscan.evals.suites.registry import SUITES

pytest_plugins = ("support.podman_fixtures",)


def works() -> bool:
    try:
        return choose_sandbox("bwrap") == "bwrap"
    except NotDeployableError:
        return False


needs_bwrap = pytest.mark.skipif(not works(), reason="bubblewrap does not work here")
ITEMS = {item.id: item for item in coding.make(SuiteRequest()).items}
CLAMP = ITEMS["clamp"]
RIGHT = "def clamp(value, low, high):\n    return max(low, min(value, high))\n"
SHORT = CodeLimits(wall_s=6.0, cpu_s=2)


def value(code: str, limits: CodeLimits = SHORT) -> tuple[float, str | None]:
    answer = ModelAnswer(f"```python\n{code}\n```")
    grade = coding.grade(CLAMP, answer, runner("bwrap", limits))
    return grade.value, grade.failure


@needs_bwrap
def test_references_pass_and_wrong_solutions_fail() -> None:
    run = runner("bwrap")
    for item in ITEMS.values():
        for label, answer in planted_answers(SUITES["coding"], item):
            if label in ("reference", "wrong-1"):
                grade = coding.grade(item, answer, run)
                assert grade.value == (label == "reference"), (item.id, label, grade.reason)


@needs_bwrap
def test_planted_cheats_fail() -> None:
    run = runner("bwrap")
    for label, answer in planted_answers(SUITES["coding"], CLAMP):
        if label != "reference":
            assert coding.grade(CLAMP, answer, run).value == 0.0, label


CHEATS = {
    "early end": "import os\nos._exit(0)",
    "system exit": RIGHT + "import sys\nsys.exit(0)",
    "exit in the function": "import os\ndef clamp(*a):\n    os._exit(0)",
    "every true": "class T:\n    def __eq__(self, o): return True\ndef clamp(*a): return T()",
    "first case only": "def clamp(value, low, high):\n    return 3",
    "frames": (
        "import sys\n"
        "def clamp(*a):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for name, found in list(frame.f_locals.items()) + list(frame.f_globals.items()):\n"
        "            if name in ('expected', 'cases', 'answers'):\n"
        "                return found\n"
        "        frame = frame.f_back\n"
        "    return None"
    ),
    "forged with the mark": (
        "import sys\n"
        "frame = sys._getframe()\n"
        "while frame.f_back: frame = frame.f_back\n"
        "mark = frame.f_globals['mark']\n"
        "sys.__stdout__.write('\\n' + mark + '[{\"value\": 3}]\\n')\n"
    ) + RIGHT,
    "crash": "def clamp(*a):\n    import ctypes\n    ctypes.string_at(0)",
    "another program": RIGHT + "import os\nif os.fork() == 0: os._exit(0)",
    "a shell": RIGHT + "import os\nos.system('true')",
    "deep results": (
        "import sys\nmark = sys._getframe().f_back.f_globals['mark']\n"
        "sys.__stdout__.write('\\n' + mark + '[' * 200_000 + '\\n')\n"
        "sys.__stdout__.flush()\nimport os\nos._exit(0)\n"
    ),
    "no such function": "def other(): pass",
    "syntax": "def clamp(:",
    "network": (
        "import socket\n"
        "def clamp(value, low, high):\n"
        "    socket.create_connection(('127.0.0.1', PORT), 2).close()\n"
        "    return max(low, min(value, high))"
    ),
}  # fmt: skip


@needs_bwrap
@pytest.mark.parametrize("name", CHEATS)
def test_cheats_fail(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = CHEATS[name].replace("PORT", str(server.getsockname()[1]))
        assert value(code)[0] == 0.0


@needs_bwrap
def test_endless_loops_and_memory_end() -> None:
    assert value("def clamp(*a):\n    while True: pass") == (0.0, "timeout")
    assert value("import time\ndef clamp(*a):\n    time.sleep(600)") == (0.0, "timeout")
    assert value("def clamp(*a):\n    return len(bytearray(8 << 30))")[0] == 0.0
    assert value("print('x' * (8 << 20))\n" + RIGHT)[0] == 0.0


@needs_bwrap
def test_right_code_may_define_data_classes() -> None:
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Limits:\n    low: float\n    high: float\n"
        "def clamp(value, low, high):\n    limits = Limits(low, high)\n"
        "    return max(limits.low, min(value, limits.high))\n"
    )
    assert value(code, LIMITS)[0] == 1.0


@needs_bwrap
def test_right_code_that_also_prints_passes() -> None:
    assert value("print('thinking…')\n" + RIGHT, LIMITS) == (1.0, None)


@needs_bwrap
def test_nothing_of_this_machine_is_visible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "visible")
    (tmp_path / "secret").write_text("visible")
    program = (
        "import os, sys\n"
        f"print(os.path.exists({str(tmp_path / 'secret')!r}), os.path.exists('/etc/passwd'))\n"
        "print('SECRET_TOKEN' in os.environ, sorted(os.environ))\n"
        "try:\n    open('/usr/written', 'w')\n    print('written')\n"
        "except OSError: print('read-only')\n"
        "print(len([p for p in os.listdir('/proc') if p.isdigit()]) < 5)\n"
    )
    result = runner("bwrap")(program, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "False False", result
    assert lines[1].startswith("False"), result
    assert lines[2:] == ["read-only", "True"], result


@needs_bwrap
def test_children_end_with_the_program() -> None:
    mark = f"sleep-{os.getpid()}-{time.monotonic_ns()}"
    program = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {mark!r}])\n"
    )
    assert runner("bwrap", SHORT)(program, "").end == "exited"
    assert not any(mark.encode() in command for command in _command_lines())


def _command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield path.read_bytes()


def test_local_needs_a_confirmation() -> None:
    with pytest.raises(NotDeployableError) as caught:
        choose_sandbox("local")
    assert caught.value.exit_code == 3
    assert choose_sandbox("local", confirmed=True) == "local"


def test_without_a_sandbox_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotDeployableError) as caught:
        choose_sandbox(None)
    assert caught.value.exit_code == 3
    assert caught.value.hint == "apt install bubblewrap"


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        ('m:[{"value": 1}]', 1.0), ('x\nm:[{"value": 1}]\ny', 1.0), ("", 0.0), ("m:", 0.0),
        ('m:[{"value": 1}]\nm:[{"value": 1}]', 0.0), ('m:[{"value": true}]', 0.0),
        ('m:[{"error": "ValueError"}]', 0.0), ('m:[{"value": 1}, {"value": 1}]', 0.0),
        ('m:{"value": 1}', 0.0), ('n:[{"value": 1}]', 0.0), ('m:[{"value": NaN}]', 0.0),
    ],
)  # fmt: skip
def test_only_one_line_of_results_counts(stdout: str, expected: float) -> None:
    assert coding.compare(CodeResult(stdout, "", "exited", 0), "m:", [1]).value == expected


def test_the_local_sandbox_has_limits() -> None:
    run = sandbox.runner("local", SHORT)
    assert run("print('hello')", "").stdout == "hello\n"
    assert run("while True: pass", "").end == "timeout"


# docker, as far as it goes without its daemon: a stand-in that runs the command in this process's
# place, and writes what it is called with.
DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >> "$DOCKER_LOG"
case "$1" in
  image) exit "$DOCKER_IMAGE_MISSING" ;;
  run) if [ -n "$DOCKER_BROKEN" ]; then echo "docker: Error response from daemon: gone" >&2; exit 125; fi
       shift $(($# - 5)); exec python3 "$@" ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a stand-in that has the image."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER.replace("$DOCKER_LOG", str(tmp_path / "log")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    program.write_text(program.read_text().replace("$DOCKER_IMAGE_MISSING", "0"))
    return tmp_path / "log"


def test_docker_runs_without_network_files_and_rights(docker: Path) -> None:
    assert choose_sandbox("docker") == "docker"
    grade = coding.grade(CLAMP, ModelAnswer(f"```python\n{RIGHT}```"), runner("docker"))
    assert grade.value == 1.0, grade.reason
    looked, ran, removed = docker.read_text().split("\nrun ")[0], "", docker.read_text()
    assert set(looked.splitlines()) == {f"image inspect {sandbox.DOCKER_IMAGE}"}
    ran = removed.partition("\nrun ")[2]
    for words in (
        "--ulimit nofile=64:64 --ulimit nproc=4096:4096", "--rm -i --name modelscan-code-", "--pull never", "--network none", "--read-only",
        "--cap-drop ALL", "--security-opt no-new-privileges", "--user 65534:65534",
        "--pids-limit 64", "--memory 805306368 --memory-swap 805306368",
        f"{sandbox.DOCKER_IMAGE} python -I -S -B -c",
    ):  # fmt: skip
        assert words in ran, words
    assert "--volume" not in ran and " -v " not in ran and "--privileged" not in ran


def test_a_container_that_hangs_is_removed(docker: Path) -> None:
    result = runner("docker", CodeLimits(wall_s=3.0, cpu_s=2))("while True: pass", "")
    assert result.end == "timeout"
    log = docker.read_text()
    name = log.partition("--name ")[2].split(" ")[0]
    assert log.rstrip().endswith(f"rm --force {name}")


def test_docker_without_the_image_is_refused(docker: Path) -> None:
    program = docker.parent / "bin" / "docker"
    program.write_text(program.read_text().replace('exit "0"', "exit 1"))
    with pytest.raises(NotDeployableError) as caught:
        choose_sandbox("docker")
    assert caught.value.hint == f"docker pull {sandbox.DOCKER_IMAGE}"
    assert sandbox.DOCKER_IMAGE in caught.value.message


def test_a_daemon_that_is_gone_is_no_fault_of_the_answer(
    docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner("docker")
    monkeypatch.setenv("DOCKER_BROKEN", "1")
    with pytest.raises(ModelscanError) as caught:
        coding.grade(CLAMP, ModelAnswer(f"```python\n{RIGHT}```"), run)
    assert "daemon" in caught.value.message
    assert str(caught.value.hint).startswith("docker run ")


# A real container, by podman.


@pytest.fixture
def container(podman: Podman, monkeypatch: pytest.MonkeyPatch) -> str:
    """podman is the only program that has the image."""
    monkeypatch.setenv("PATH", f"{podman.folder}:{os.environ['PATH']}")
    monkeypatch.setattr(sandbox, "DOCKER_IMAGE", IMAGE)
    if sandbox.container_program() != "podman":
        pytest.skip("docker has an image of that name")
    return choose_sandbox("docker")


def test_a_real_container_grades_like_bubblewrap(container: str) -> None:
    run = runner("docker")
    assert container == "docker"
    for label, answer in planted_answers(SUITES["coding"], CLAMP):
        grade = coding.grade(CLAMP, answer, run)
        assert grade.value == (label == "reference"), (label, grade.reason)


INSIDE = """
import os, socket
print(os.getuid(), sorted(os.environ))
for path in ("/work", "/home", "/root/.ssh", "/etc/shadow"):
    try:
        print(path, os.listdir(path) if os.path.isdir(path) else open(path).read())
    except OSError as error:
        print(path, type(error).__name__)
for action in (lambda: open("/opt/x", "w"), lambda: socket.create_connection(("192.0.2.1", 80), 3)):
    try:
        print(action())
    except OSError as error:
        print("refused", type(error).__name__)
print(input())
"""


def test_a_real_container_has_nothing_of_this_machine(
    container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "sk-planted-0123456789")
    result = runner("docker")(INSIDE, "from outside")
    assert (result.end, result.exit_code) == ("exited", 0), result
    assert result.stdout.startswith("65534 ")
    assert "SECRET_TOKEN" not in result.stdout
    assert "sk-planted" not in result.stdout
    assert result.stdout.count("refused") == 2
    assert result.stdout.endswith("from outside\n")
    assert "root:" not in result.stdout


def test_a_real_container_that_hangs_is_removed(container: str, podman: Podman) -> None:
    result = runner("docker", SHORT)("import time\nwhile True: time.sleep(1)", "")
    assert result.end == "timeout"
    assert podman("ps", "--all", "--quiet") == ""
    assert runner("docker", SHORT)("while True: pass", "").end == "timeout"

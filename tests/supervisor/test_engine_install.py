"""``engine install``: a release server on loopback, real archives of the embedded engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Ran
from support.engine_processes import eventually
from support.gpu_texts import Board, nvidia_xml
from support.release_server import LINUX, ReleaseServer, archive, engine_archive

pytest.importorskip("xllamacpp")
pytest_plugins = ("support.engine_fixtures",)
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the archives are for x64")
Run = Callable[..., Ran]
OLD, NEW = "b11500", "b11549"
INSTALL = ("engine", "install", "llama.cpp", "--yes")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[ReleaseServer]:
    with ReleaseServer() as running:
        running.add(OLD)
        monkeypatch.setenv("MODELSCAN_LLAMACPP_RELEASES", running.url)
        yield running


def engines(run: Run) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in run("engine", "list", "--json").json["engines"]}


def used(run: Run) -> str:
    (one,) = [row["id"] for row in engines(run).values() if row["selected"]]
    return str(one).removeprefix("llama.cpp@")


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "modelscan", *args]


def test_a_life_install_deploy_upgrade_remove(
    run_in_process: Run, cli: Run, server: ReleaseServer, home: Path
) -> None:
    assert used(run_in_process) == "bundled"
    asked = run_in_process("engine", "install", "llama.cpp")
    assert asked.code == 2, "nothing without a yes"
    assert asked.err.strip().endswith(f"install llama.cpp --version {OLD} --yes")
    file = server.row(OLD)["assets"][0]
    assert file["digest"][7:] in asked.err and file["browser_download_url"] in asked.err
    assert not (home / "state/engines").exists()

    done = run_in_process(*INSTALL, "--json").json
    assert (done["installed"], done["engine"]["devices"]) == (True, [])
    assert done["engine"]["version"] == OLD and used(run_in_process) == f"{OLD}-cpu"
    assert run_in_process(*INSTALL, "--json").json["installed"] is False, "it is there already"

    deployed = cli("deploy", "demo", "--json").json
    assert deployed["plan"]["backend_version"] == OLD
    assert deployed["deployment"]["health"] == "ok"
    refused = run_in_process("engine", "remove", "llama.cpp", "--yes")
    assert refused.code == 2 and "used by demo" in refused.err

    server.add(NEW)
    assert run_in_process(*INSTALL).code == 0
    assert used(run_in_process) == f"{NEW}-cpu", "the old one stays, for the deployment"
    assert {f"llama.cpp@{OLD}-cpu", f"llama.cpp@{NEW}-cpu"} < set(engines(run_in_process))
    listed = run_in_process("uninstall").out
    assert f"llama.cpp@{NEW}-cpu\tengine" in listed
    assert cli("remove", "demo", "--yes").code == 0
    assert run_in_process("engine", "remove", f"llama.cpp@{OLD}-cpu", "--yes").code == 0
    assert run_in_process("engine", "use", "llama.cpp@bundled").code == 0
    assert used(run_in_process) == "bundled"
    assert run_in_process(*INSTALL, "--offline").code == 0, "the archive is there"
    assert used(run_in_process) == f"{NEW}-cpu"


def test_a_flipped_byte_a_missing_checksum_a_dead_server(
    run_in_process: Run, server: ReleaseServer, home: Path
) -> None:
    assert run_in_process(*INSTALL).code == 0
    server.add(NEW)
    server.fault = "flip"
    ran = run_in_process(*INSTALL, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "wrong_checksum")
    server.fault, server.digests = None, False
    ran = run_in_process(*INSTALL, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "no_checksum")
    wrong = run_in_process(*INSTALL, "--sha256", "0" * 64, "--json")
    assert wrong.json["error"]["code"] == "wrong_checksum"
    assert run_in_process(*INSTALL, "--sha256", "12").code == 2
    server.fault = "dead"
    ran = run_in_process(*INSTALL, "--json")
    assert ran.code == 5 and "llamacpp_releases" in ran.json["error"]["hint"]
    assert used(run_in_process) == f"{OLD}-cpu", "the old one is what it was"
    server.fault, server.digests = None, True
    other = server.row(NEW)["assets"][0]["digest"][7:]
    assert run_in_process(*INSTALL, "--sha256", "0" * 64).code == 2, "not the published one"
    assert run_in_process(*INSTALL, "--sha256", other).code == 0


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"llama-b1/../../evil": b"x"}, "unsafe_archive"),
        ({"llama-b1/README": b"x"}, "not_an_engine"),
        ({"llama-b1/llama-server": b"#!/bin/sh\necho no library >&2; exit 127\n"}, "engine_broken"),
        ({"llama-b1/llama-server": b"\x7fELF nothing"}, "engine_broken"),
    ],
)
def test_an_archive_that_is_no_engine(
    run_in_process: Run, server: ReleaseServer, home: Path, files: dict[str, bytes], code: str
) -> None:
    server.add("b1", {LINUX.format(tag="b1", kind=""): archive(files)})
    ran = run_in_process(*INSTALL, "--json")
    assert ran.json["error"]["code"] == code, ran.out
    assert used(run_in_process) == "bundled"
    assert not list((home / "state/engines").glob("*/*")), "nothing half usable"


def test_a_build_of_another_version_is_refused(run_in_process: Run, server: ReleaseServer) -> None:
    server.add("b2", {LINUX.format(tag="b2", kind=""): engine_archive("b3")})
    ran = run_in_process(*INSTALL, "--json")
    assert "its version is 3" in ran.json["error"]["message"]


def test_a_full_disk_leaves_what_was_there(cli: Run, server: ReleaseServer, home: Path) -> None:
    """A limit of file sizes, as a full disk: the archive fits, its library does not."""
    line = f"ulimit -f 100; exec {' '.join(command(*INSTALL, '--json'))}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert done.returncode == 1, done.stderr
    assert '"file_system"' in done.stdout and "EFBIG" in done.stdout
    assert not list((home / "state/engines").glob("*/*"))
    assert cli(*INSTALL).code == 0


def test_kill_in_the_middle_is_resumed(
    run_in_process: Run, server: ReleaseServer, home: Path
) -> None:
    heavy = engine_archive(NEW, (), os.urandom(200_000))
    server.add(NEW, {LINUX.format(tag=NEW, kind=""): heavy})
    server.fault = "stall"
    with subprocess.Popen(command(*INSTALL), cwd=REPOSITORY, stderr=subprocess.DEVNULL) as process:
        eventually(lambda: any(p.stat().st_size for p in home.rglob("*.part")))
        process.send_signal(signal.SIGKILL)
    server.fault = None
    assert used(run_in_process) == "bundled"
    assert run_in_process("engine", "list", "--json").json["unfinished"] == []
    assert run_in_process(*INSTALL).code == 0
    assert used(run_in_process) == f"{NEW}-cpu"


def test_two_at_once(run_in_process: Run, server: ReleaseServer) -> None:
    both = [subprocess.Popen(command(*INSTALL, "-q"), cwd=REPOSITORY) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert sum("/get/" in path for path in server.requests) == 1, "one downloads, one waits"
    assert used(run_in_process) == f"{OLD}-cpu"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An RTX 4090 with driver 570, as ``nvidia-smi`` prints it."""
    board = Board(name="NVIDIA GeForce RTX 4090", total=24564, reserved=300, used=4,
                  capability="8.9")  # fmt: skip
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "answer.xml").write_text(nvidia_xml([board]))
    smi = folder / "nvidia-smi"
    smi.write_text(f'#!/bin/sh\ncase "$*" in *-x*) cat {folder}/answer.xml;; *) exit 1;; esac\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin:/bin")


def _gpu_release(server: ReleaseServer, devices: tuple[str, ...]) -> None:
    cuda = {f"cuda-{version}-": engine_archive(NEW, devices) for version in ("12.8", "13.4")}
    runtime = archive({"libs/libcublas.so.12": b"a library"})
    server.add(NEW, {
        **{LINUX.format(tag=NEW, kind=kind): data for kind, data in cuda.items()},
        LINUX.format(tag=NEW, kind=""): engine_archive(NEW),
        f"cudart-llama-{NEW}-bin-ubuntu-cuda-12.8-x64.tar.gz": runtime,
    })  # fmt: skip


def test_the_build_for_the_gpu(
    cli: Run, run_in_process: Run, card: None, server: ReleaseServer
) -> None:
    _gpu_release(server, ("CUDA0",))
    missing = cli("plan", "qwen3-8b", "--backend", "llama.cpp", "--offline").out
    assert "modelscan engine install llama.cpp: about 728 MiB to download (1 minute" in missing
    done = run_in_process(*INSTALL, "--json").json
    assert done["engine"]["id"] == f"llama.cpp@{NEW}-cuda-12.8"
    assert done["engine"]["devices"] == ["CUDA0"]
    assert any("CUDA 13.4 needs driver 580" in reason for reason in done["offer"]["reasons"])
    program = Path(done["engine"]["path"])
    assert (program.parent / "libcublas.so.12").read_bytes() == b"a library"
    plan = cli("plan", "qwen3-8b", "--context", "4k", "--offline", "--json").json
    chosen = plan["plan"]
    assert (chosen["backend"], chosen["backend_version"], chosen["gpus"]) == ("llama.cpp", NEW, [0])
    assert "llama.cpp" not in [gap["name"] for gap in plan["missing"]]


def test_a_gpu_build_that_sees_no_gpu(
    run_in_process: Run, card: None, server: ReleaseServer
) -> None:
    _gpu_release(server, ())
    ran = run_in_process(*INSTALL, "--json")
    assert ran.json["error"]["code"] == "engine_broken"
    assert "lists no GPU" in ran.json["error"]["message"]
    assert ran.json["error"]["hint"].startswith("modelscan engine install llama.cpp --build vulkan")
    refused = run_in_process(*INSTALL, "--build", "vulkan", "--json")
    assert refused.json["error"]["code"] == "no_build"
    assert run_in_process(*INSTALL, "--build", "cpu").code == 0, "where the user names it"


def test_a_setting_has_precedence(
    run_in_process: Run, server: ReleaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run_in_process(*INSTALL, "--json").json["engine"]["path"]
    assert run_in_process("engine", "use", "llama.cpp@bundled").code == 0
    monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", path)
    assert used(run_in_process) == f"{OLD}-cpu"
    ran = run_in_process("engine", "use", "llama.cpp@bundled")
    assert ran.code == 2 and "has precedence" in ran.err
    assert run_in_process("engine", "use", "llama.cpp@b1").code == 2
    assert run_in_process("engine", "remove", "llama.cpp@bundled", "--yes").code == 2
    assert run_in_process("config", "set", "llama_server", "/bin/ls").code == 2

"""A real podman for tests, with its own storage, and an image of the embedded engine.

It needs root, a kernel that lets it make containers, and podman; else a test is skipped with the
reason. Nothing of the machine's own podman is used or changed: images and containers are in a
temporary folder, and slirp4netns needs no bridge and no firewall rule. The image is made from this
Python and xllamacpp: no registry is asked.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

IMAGE = "localhost/modelscan-test:1"
_PYTHON = "/opt/python"
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3",
             "site-packages", "__pycache__"}  # fmt: skip
_ENTRY = f"""#!{_PYTHON}/bin/python3
# llama-server as the official image has it: PID 1 ends on SIGTERM only with a handler.
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
from modelscan.supervisor.embedded.launcher import serve
sys.exit(serve(sys.argv[1:], None))
"""
_SETTINGS = """[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
cgroups = "disabled"
netns = "slirp4netns"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# A machine whose control groups are those of version 1 and 2 at once, which crun refuses: a mount
# namespace of its own, kept by a process, has only version 2.
_NAMESPACE = """umount /sys/fs/cgroup/* 2>/dev/null; umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo ready && exec sleep 100000
"""


@dataclass(frozen=True)
class Podman:
    """``folder`` has the program ``podman`` to put on the PATH."""

    folder: Path

    def trust(self, port: int | None) -> None:
        """Let it use a registry on this port of loopback, without encryption."""
        text = "" if port is None else f'[[registry]]\nlocation="127.0.0.1:{port}"\ninsecure=true\n'
        (self.folder / "registries.conf").write_text(text)

    def __call__(self, *words: str) -> str:
        """Run it; returns its output, raises with its errors."""
        done = subprocess.run(
            [self.folder / "podman", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"podman {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()


def namespace() -> subprocess.Popen[str] | None:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return None
    keeper = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", _NAMESPACE], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert keeper.stdout is not None
    if keeper.stdout.readline().strip() != "ready":
        keeper.communicate()
        pytest.skip("no mount namespace with control groups of version 2 can be made here")
    return keeper


def wrapped(folder: Path, real: str, keeper: subprocess.Popen[str] | None) -> Podman:
    """podman with its storage and settings in a folder."""
    settings = folder / "containers.conf"
    limits = [
        min(4096, resource.getrlimit(kind)[1])
        for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
    ]
    settings.write_text(_SETTINGS.format(files=limits[0], processes=limits[1]))
    enter = f"nsenter --target {keeper.pid} --mount " if keeper else ""
    program = folder / "podman"
    program.write_text(
        f"#!/bin/sh\nexport CONTAINERS_CONF={settings} "
        f"CONTAINERS_REGISTRIES_CONF={folder}/registries.conf\nexec {enter}{real} --root {folder}/images "
        f'--runroot {folder}/run --storage-driver overlay "$@"\n'
    )
    program.chmod(0o755)
    made = Podman(folder)
    made.trust(None)
    return made


def with_image(folder: Path, real: str, keeper: subprocess.Popen[str] | None) -> Podman:
    made = wrapped(folder, real, keeper)
    program = folder / "podman"
    archive = folder / "image.tar"
    write_image(archive)
    variables = (f"PYTHONHOME={_PYTHON}", "PYTHONPATH=/opt/site")
    changes = [word for one in variables for word in ("--change", f"ENV {one}")]
    tried = subprocess.run(
        [program, "import", "--quiet", *changes, archive, IMAGE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    archive.unlink()
    if tried.returncode == 0:
        tried = subprocess.run(
            [program, "run", "--rm", "--entrypoint", f"{_PYTHON}/bin/python3", IMAGE, "-c", "1"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if tried.returncode != 0:
        pytest.skip(f"podman runs no container here: {tried.stderr.strip()[-300:]}")
    return made


def write_image(archive: Path) -> None:
    """The root file system: this Python, xllamacpp, modelscan, and the libraries they load."""
    import modelscan

    engine = Path(_origin("xllamacpp")).parent
    standard = Path(sysconfig.get_path("stdlib"))
    python = Path(sys.executable).resolve()
    binaries = [python, *engine.glob("*.so"), *(standard / "lib-dynload").glob("*.so")]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    with tarfile.open(archive, "w") as tar:
        tar.add(python, f"{_PYTHON}/bin/python3", recursive=False)
        tar.add(standard, f"{_PYTHON}/lib/{version}", filter=_kept)
        tar.add(engine, "/opt/site/xllamacpp", filter=_kept)
        tar.add(Path(modelscan.__file__).parent, "/opt/site/modelscan", filter=_kept)
        for library in sorted({one for binary in binaries for one in _libraries(binary)}):
            tar.add(Path(library).resolve(), library)
        link = tarfile.TarInfo("usr/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, f"{_PYTHON}/bin/python3"
        tar.addfile(link)
        entry = archive.with_name("llama-server")
        entry.write_text(_ENTRY)
        entry.chmod(0o755)
        tar.add(entry, "/app/llama-server")


def _origin(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _LEFT_OUT & set(Path(member.name).parts) else member


def _libraries(binary: Path) -> list[str]:
    done = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+)", done.stdout)

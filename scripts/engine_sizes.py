"""What an engine's packages weigh: bytes to download and bytes on the disk, without installing.

    python -m scripts.engine_sizes vllm==0.33.0

pip resolves the requirement (``--dry-run --report``); each wheel's size comes from the index, its
unpacked size from the directory at the wheel's end, which is read by a byte range. The figures are
those of ``engines/*/engine.py`` (``Wheels``), for this system and this Python.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen


class RemoteFile(io.RawIOBase):
    """A file behind an address, read by byte ranges."""

    def __init__(self, url: str) -> None:
        self.url, self.at = url, 0
        with urlopen(Request(url, method="HEAD"), timeout=60) as answer:
            self.size = int(answer.headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = (0, self.at, self.size)[whence] + offset
        return self.at

    def readinto(self, buffer: Any) -> int:
        last = min(self.at + len(buffer), self.size) - 1
        if last < self.at:
            return 0
        request = Request(self.url, headers={"Range": f"bytes={self.at}-{last}"})
        with urlopen(request, timeout=60) as answer:
            data = answer.read()
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def resolved(requirement: str) -> list[dict[str, Any]]:
    """The packages that pip would install, with their addresses."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
             "--only-binary", ":all:", "--report", report, requirement],
            check=True,
        )  # fmt: skip
        packages: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    return packages


def opened(url: str) -> io.RawIOBase:
    """A wheel of the index, or of a folder."""
    return io.FileIO(unquote(urlsplit(url).path)) if url.startswith("file:") else RemoteFile(url)


def sizes(url: str) -> tuple[int, int]:
    """Bytes of a wheel, and of its files."""
    with opened(url) as wheel, zipfile.ZipFile(io.BufferedReader(wheel, 1 << 18)) as archive:
        return wheel.seek(0, 2), sum(entry.file_size for entry in archive.infolist())


def main() -> None:
    """Print the sums for each requirement of the command line."""
    for requirement in sys.argv[1:]:
        download = unpacked = 0
        for package in resolved(requirement):
            packed, files = sizes(package["download_info"]["url"])
            download, unpacked = download + packed, unpacked + files
        sys.stdout.write(f"{requirement}\t{download}\t{unpacked}\n")


if __name__ == "__main__":
    main()

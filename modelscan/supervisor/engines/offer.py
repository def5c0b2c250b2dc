"""What an installation would do: shown before the user agrees, carried out afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelscan.core.units import format_bytes
from modelscan.core.workload import Backend
from modelscan.engines.llamacpp.release_builds import Accelerator
from modelscan.supervisor.engines.folders import Downloaded, label


@dataclass(frozen=True, slots=True)
class InstallWishes:
    """What the user requested. None: chosen for this machine. ``sha256`` in the order of the files
    that the release publishes none for; ``model`` is one that the version must serve."""

    version: str | None = None
    build: Accelerator | None = None
    sha256: tuple[str, ...] = ()
    model: str | None = None
    quantization: str | None = None


_RATE_BYTES_PER_S = 12_500_000  # 100 Mbit/s, named wherever a duration is shown
UNPACKED = 3  # bytes on the disk per byte of an archive of llama.cpp, roughly


@dataclass(frozen=True, slots=True)
class EngineOffer:
    """One version in one build. ``files`` are checked by SHA-256 (empty for Python packages, which
    pip or uv check against the index); ``commands`` are the programs that run; ``reasons`` say why
    this build. ``download_bytes`` is what is left to fetch.
    """

    engine: Backend
    version: str
    build: str
    folder: Path
    files: tuple[Downloaded, ...]
    commands: tuple[tuple[str, ...], ...]
    download_bytes: int
    disk_bytes: int
    reasons: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``llama.cpp@b11549-vulkan``."""
        return f"{self.engine}@{label(self.version, self.build)}"


def download_s(size_bytes: int) -> int:
    """Seconds that a download of this size takes at 100 Mbit/s."""
    return max(1, round(size_bytes / _RATE_BYTES_PER_S))


def effort(download_bytes: int, disk_bytes: int) -> str:
    """``about 4.0 GiB to download (6 minutes at 100 Mbit/s), 9.0 GiB of disk``."""
    seconds = download_s(download_bytes)
    minutes = round(seconds / 60)
    plural = "" if minutes == 1 else "s"
    time = f"{minutes} minute{plural}" if seconds >= 60 else f"{seconds} s"
    return (
        f"about {format_bytes(download_bytes)} to download ({time} at 100 Mbit/s), "
        f"{format_bytes(disk_bytes)} of disk"
    )

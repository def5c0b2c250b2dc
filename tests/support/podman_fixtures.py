"""A real podman with the engine's image (``support.podman``), or a skip with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.container_base import with_base
from support.podman import Podman, namespace, with_image

Make = Callable[[Path, str, "subprocess.Popen[str] | None"], Podman]


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman with the engine's image; skips where no container can run."""
    yield from _podman(tmp_path_factory.mktemp("podman"), with_image)


@pytest.fixture(scope="session")
def podman_with_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman with a base image for the container file; skips where there can be none."""
    yield from _podman(tmp_path_factory.mktemp("podman-base"), with_base)


def _podman(folder: Path, make: Make) -> Iterator[Podman]:
    real = shutil.which("podman")
    for lacking, why in (
        (real is None, "podman is not installed"),
        (shutil.which("slirp4netns") is None, "slirp4netns is not installed"),
        (os.geteuid() != 0, "root is needed to make containers without further set-up"),
    ):
        if lacking:
            pytest.skip(why)
    keeper = namespace()
    try:
        yield make(folder, str(real), keeper)
    finally:
        subprocess.run(
            [folder / "podman", "rm", "--force", "--all"], capture_output=True, check=False
        )
        if keeper is not None:
            keeper.kill()
            keeper.communicate()

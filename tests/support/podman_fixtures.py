"""A real podman with the engine's image (``support.podman``), or a skip with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from support.podman import Podman, namespace, with_image


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman with the engine's image; skips where no container can run."""
    real = shutil.which("podman")
    for lacking, why in (
        (real is None, "podman is not installed"),
        (shutil.which("slirp4netns") is None, "slirp4netns is not installed"),
        (os.geteuid() != 0, "root is needed to make containers without further set-up"),
    ):
        if lacking:
            pytest.skip(why)
    folder = tmp_path_factory.mktemp("podman")
    keeper = namespace()
    try:
        yield with_image(folder, str(real), keeper)
    finally:
        subprocess.run(
            [folder / "podman", "rm", "--force", "--all"], capture_output=True, check=False
        )
        if keeper is not None:
            keeper.kill()
            keeper.communicate()

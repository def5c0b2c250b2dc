"""The container file is built, and its image is used as its first lines say. ``make test-container``"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from conftest import REPOSITORY
from support.container_base import BASE
from support.patience import COMMAND_S
from support.podman import Podman
from support.served import until

pytest_plugins = ("support.podman_fixtures",)
pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]
IMAGE = "localhost/modelscan:test"
DATA = "/home/modelscan/data"
# As strict as a careful operator runs it: nothing but the volume and /tmp can be written.
STRICT = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


@pytest.fixture(scope="module")
def image(podman_with_base: Podman) -> Podman:
    podman_with_base(
        "build", "--format", "docker", "--isolation", "chroot", "--network", "host",
        "--build-arg", f"BASE={BASE}", "--tag", IMAGE, str(REPOSITORY),
    )  # fmt: skip
    return podman_with_base


@pytest.fixture
def volume(image: Podman) -> Iterator[str]:
    name = image("volume", "create")
    yield name
    image("volume", "rm", "--force", name)


def command(image: Podman, *words: str, volume: str | None = None) -> str:
    mount = ("--volume", f"{volume}:{DATA}") if volume else ()
    return image("run", "--rm", "--network", "none", *STRICT, *mount, IMAGE, *words)


def test_the_file_has_no_lint() -> None:
    tool = shutil.which("hadolint", path=REPOSITORY / ".cache/container/tools/bin")
    if tool is None:
        pytest.skip("hadolint is not installed: make test-container installs it")
    done = subprocess.run(
        [tool, "Containerfile"], capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_says_of_itself(image: Podman) -> None:
    row = json.loads(image("image", "inspect", IMAGE))[0]
    settings = row["Config"]
    assert settings["User"] == "10001"
    assert list(settings["ExposedPorts"]) == ["8900/tcp"]
    assert list(settings["Volumes"]) == [DATA]
    assert row["Healthcheck"]["Test"][0] == "CMD"


def test_commands_run_as_an_ordinary_user_on_a_root_that_cannot_be_written(image: Podman) -> None:
    from modelscan import __version__

    assert command(image, "--version") == f"modelscan {__version__}"
    assert json.loads(command(image, "gpu", "--json"))["schema"] == "modelscan.gpu/1"
    found = json.loads(command(image, "catalog", "search", "qwen3-8b", "--offline", "--json"))
    assert found["models"]
    plan = json.loads(command(image, "plan", "qwen3-8b", "--gpu", "24GiB", "--offline", "--json"))
    assert plan["verdict"] == "fits"
    python = ("run", "--rm", "--network", "none", "--entrypoint", "python", IMAGE, "-c")
    assert image(*python, "import os; print(os.getuid())") == "10001"
    places = "'/opt/modelscan', os.W_OK), os.access('/src', os.F_OK"
    assert image(*python, f"import os; print(os.access({places}))") == "False False"


def test_without_a_key_the_gateway_does_not_start(image: Podman, volume: str) -> None:
    done = subprocess.run(
        [image.folder / "podman", "run", "--rm", "--network", "none", *STRICT, "--volume",
         f"{volume}:{DATA}", IMAGE],
        capture_output=True, text=True, check=False, timeout=COMMAND_S,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "key create" in done.stderr


def test_the_gateway_serves_with_its_volume_and_ends_by_itself(image: Podman, volume: str) -> None:
    key = json.loads(command(image, "key", "create", "laptop", "--json", volume=volume))["key"]
    for round in ("first", "again, with what the volume has"):
        port = free_port()
        name = image(
            "run", "--detach", *STRICT, "--volume", f"{volume}:{DATA}", "--publish",
            f"127.0.0.1:{port}:8900", IMAGE,
        )  # fmt: skip
        try:
            until(lambda port=port: status(port, None) == 401)
            assert status(port, key) == 200, round
            image("healthcheck", "run", name)
            image("stop", "--time", "120", name)
            assert image("inspect", "--format", "{{.State.ExitCode}}", name) == "0"
            assert key not in image("logs", name)
        finally:
            image("rm", "--force", name)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def status(port: int, key: str | None) -> int | None:
    """Of a request for the models; None: nothing answers yet."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/models", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=COMMAND_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return None

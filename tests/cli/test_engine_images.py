"""``engine`` with images of containers: listed, offered, pulled only after a yes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran

Run = Callable[..., Ran]
IMAGE = "ghcr.io/ggml-org/llama.cpp:server"
# docker as it answers with one image, and with none before a pull that the registry refuses.
_WITH = f"""#!/bin/sh
case "$1 $2" in
"image inspect") echo '[{{"Id": "sha256:x", "Size": 1048576}}]' ;;
"images --format") echo {IMAGE} ;;
esac
"""
_WITHOUT = """#!/bin/sh
case "$1" in
image) echo "Error: No such image: x" >&2; exit 1 ;;
pull) echo "toomanyrequests: You have reached your pull rate limit."; exit 1 ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    program = tmp_path / "programs" / "docker"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/bin")

    def answers(script: str) -> None:
        program.write_text(script)
        program.chmod(0o755)

    return answers


def test_an_image_is_an_engine(run_in_process: Run, docker: Callable[[str], None]) -> None:
    docker(_WITH)
    rows = run_in_process("engine", "list", "--json").json["engines"]
    row = next(row for row in rows if row["source"] == "container")
    assert (row["name"], row["path"], row["size_bytes"]) == ("llama.cpp", IMAGE, 1 << 20)
    assert row["selected"] is False
    again = run_in_process("engine", "install", "llama.cpp", "--runtime", "docker", "--json")
    assert again.json["installed"] is False
    assert again.json["engine"] == row
    removed = run_in_process("engine", "remove", row["id"], "--yes", "--json")
    assert removed.json["error"]["hint"] == f"docker rmi {IMAGE}"


def test_nothing_is_pulled_without_a_yes(
    run_in_process: Run, docker: Callable[[str], None]
) -> None:
    docker(_WITHOUT)
    install = ("engine", "install", "llama.cpp", "--runtime", "docker", "--json")
    offer = run_in_process(*install, "--dry-run").json
    assert offer["image"]["command"] == ["docker", "pull", IMAGE]
    asked = run_in_process(*install)
    assert (asked.code, asked.json["error"]["code"]) == (2, "needs_yes")
    refused = run_in_process(*install, "--yes")
    assert (refused.code, refused.json["error"]["code"]) == (5, "registry_limit")
    offline = run_in_process("--offline", *install)
    assert offline.json["error"]["code"] == "offline"


def test_an_engine_without_an_image_for_this_machine(
    run_in_process: Run, docker: Callable[[str], None]
) -> None:
    docker(_WITHOUT)
    ran = run_in_process("engine", "install", "sglang", "--runtime", "docker", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "no_image")


def test_a_deployment_names_what_is_missing(
    run_in_process: Run, docker: Callable[[str], None]
) -> None:
    docker(_WITHOUT)
    ran = run_in_process("deploy", "demo", "--runtime", "docker", "--json")
    assert ran.json["error"]["hint"] == f"docker pull {IMAGE}"
    file = run_in_process("deploy", "demo", "--image", "a/b:c", "--json")
    assert (file.code, "--runtime" in file.json["error"]["hint"]) == (2, True)
    other = run_in_process("deploy", "demo", "--target", "ollama", "--runtime", "docker", "--json")
    assert other.json["error"]["code"] == "local_only"


def test_the_manifest_has_the_runtime(
    run_in_process: Run, docker: Callable[[str], None], tmp_path: Path
) -> None:
    docker(_WITH)
    file = tmp_path / "deployment.yaml"
    file.write_text("deployment:\n  model: demo\n  runtime: docker\n  image: a/b:c\n")
    dry = run_in_process("deploy", "-f", str(file), "--dry-run", "--json").json["launch"]
    assert dry["container"]["image"] == "a/b:c"
    assert dry["argv"][1] == "run"
    assert dry["install"] is None
    file.write_text("deployment:\n  model: demo\n  runtime: lxc\n")
    wrong = run_in_process("deploy", "-f", str(file), "--dry-run", "--json")
    assert wrong.code == 2
    assert "docker, podman" in wrong.json["error"]["hint"]

"""Containers without a runtime: the exact commands, what is mounted, and the runtimes' errors."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from support.container_commands import CASES, DIGEST, GGUF, GOLDEN, Case, gpu, launch, text

from modelscan.core.container import ContainerLaunch, ContainerRuntime
from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.jsonform import from_json, to_json
from modelscan.core.launch import LocalLaunch
from modelscan.engines.registry import engine
from modelscan.supervisor.containers import checks, images, runtime, supervised
from modelscan.supervisor.containers.command import mount, run_command
from modelscan.supervisor.containers.devices import device_groups, device_names
from modelscan.supervisor.containers.failures import explain
from modelscan.supervisor.containers.handle import handle_of
from modelscan.supervisor.containers.mounts import mounts_of

KEY = "the-planted-key"


def test_the_commands_are_the_reviewed_ones() -> None:
    """After a change on purpose: see ``support.container_commands``."""
    assert text() == GOLDEN.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.backend}-{c.vendor}-{c.gpus}")
def test_a_container_may_do_nothing_else(case: Case, tmp_path: Path) -> None:
    made = launch(case, "podman")
    words = run_command(made, handle_of("podman", "podman", tmp_path / "m"))
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert {"--read-only", "no-new-privileges"} <= set(words)
    assert words[words.index("--publish") + 1] == "127.0.0.1:41000:41000"
    assert all(word.endswith(",readonly") for word in words if word.startswith("type=bind"))
    assert not {"--privileged", "-e", "--env", "host"} & set(words)
    assert KEY not in " ".join(words)
    assert from_json(LocalLaunch, to_json(made)) == made


def test_limits_are_the_containers() -> None:
    from dataclasses import replace

    from modelscan.core.limits import Limits

    made = replace(launch(CASES[0], "docker"), limits=Limits(8 << 30, nice=10))
    words = run_command(made, handle_of("docker", "docker", Path("/d/m")))
    assert words[words.index("--memory") + 1] == str(8 << 30)
    assert words[words.index("--cpu-shares") + 1] == "110"  # the kernel's weight of nice 10


def test_the_user_of_a_container(tmp_path: Path) -> None:
    """root only where the image or the files need it."""
    file = tmp_path / "models--o--r-GGUF"
    file.mkdir(mode=0o755)

    def user(runtime: ContainerRuntime, backend: str = "llama.cpp", **host: Any) -> str | None:
        made = launch(Case(backend, "nvidia"), runtime, **host).container
        assert made is not None
        return made.user

    assert user("docker") == "1000:1000"
    assert user("podman", rootless=True) == "1000:1000"
    assert user("podman", "vllm", rootless=True) is None  # which is this user outside
    assert user("docker", uid=0) is None  # the files are not there: it is not known who reads them
    assert user("docker", "vllm") == "1000:1000"  # root without capabilities could not read them


def test_two_homes_have_two_containers() -> None:
    one, other = (handle_of("podman", "podman", Path(f"/{home}/m")) for home in "ab")
    assert one.name != other.name
    assert one.name.startswith("modelscan-m-")


def test_an_image_by_digest_and_by_tag() -> None:
    assert ContainerLaunch("docker", "host:5000/a/b:tag").pinned == "host:5000/a/b:tag"
    pinned = ContainerLaunch("docker", "host:5000/a/b:tag", DIGEST).pinned
    assert pinned == f"host:5000/a/b@{DIGEST}"
    assert ContainerLaunch("docker", "host:5000/a/b", DIGEST).pinned == pinned


def test_every_image_has_a_registry_and_a_source() -> None:
    """podman searches no registry for a short name."""
    for name in ("llama.cpp", "vllm", "sglang", "ollama"):
        official = engine(name).images
        assert official is not None
        assert official.source
        for vendor in official.names:
            for version in (None, "v1.2.3", "b9445"):
                image = official.name(vendor or None, version)
                assert image is not None
                assert "." in image.partition("/")[0]
                assert "vv" not in image
                assert official.version_of(image) == (version or "").lstrip("v")
        assert official.name("ascend", None) is None


def test_no_image_for_these_gpus_is_said() -> None:
    with pytest.raises(NotDeployableError, match="without a way out"):
        launch(Case("llama.cpp", None, (), isolated=True), "docker", rootless=True)


def test_files_that_are_mounted(tmp_path: Path) -> None:
    """A cached repository whole, all shards of a file, nothing twice, and no parent folder."""
    shards = [tmp_path / f"big-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    for file in (*shards, tmp_path / "other.gguf"):
        file.touch()
    assert mounts_of([str(shards[0])]) == tuple(map(str, shards))
    cached = "/c/hub/models--o--r-GGUF"
    assert mounts_of([GGUF.replace("/home/u/.cache/huggingface", "/c"), f"{cached}/blobs/x"]) == (
        cached,
    )
    assert mounts_of(["/m/a", "/m", "/m/a/b"]) == ("/m",)


def test_a_path_with_a_comma_is_one_field() -> None:
    assert mount('/a,b"c') == 'type=bind,"source=/a,b""c","target=/a,b""c",readonly'


def test_gpus_by_the_names_of_each_toolkit() -> None:
    from dataclasses import replace

    card = gpu(1, "nvidia")
    slice_ = replace(card, uuid="MIG-1", mig="1g.10gb", mig_index=2)
    assert device_names([card, slice_], "docker") == ("GPU-00000001", "MIG-1")
    assert device_names([card, slice_], "podman") == ("1", "1:2")
    assert device_names([replace(card, uuid=None)], "docker") == ("1",)
    assert device_names([gpu(0, "ascend")], "docker") == ()


def test_device_groups_are_numbers(tmp_path: Path) -> None:
    node = tmp_path / "dev/dri/renderD128"
    node.parent.mkdir(parents=True)
    node.touch()
    if os.getuid() == 0:
        os.chown(node, 0, 107)
    expected = (str(node.stat().st_gid),) if node.stat().st_gid else ()
    assert device_groups("amd", tmp_path, keep=False) == expected
    assert device_groups("amd", tmp_path, keep=True) == ("keep-groups",)
    assert device_groups("nvidia", tmp_path, keep=True) == ()


def test_variables_are_in_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "container.env"
    supervised.write_variables(file, {"A": " x=1 #2 ", "KEY": KEY})
    assert file.read_text() == f"A= x=1 #2 \nKEY={KEY}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(ModelscanError, match="more than one line"):
        supervised.write_variables(file, {"A": "x\nPATH=/evil"})


@pytest.mark.parametrize(
    ("name", "code", "output"),
    [
        ("docker", "runtime_not_running", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
        ("docker", "runtime_not_running", "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory"),
        ("docker", "runtime_permission", "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied"),
        ("docker", "image_missing", "docker: Error response from daemon: No such image: a/b:c"),
        ("podman", "image_missing", "Error: a/b:c: image not known"),
        ("docker", "gpu_toolkit_missing", 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].'),
        ("podman", "gpu_toolkit_missing", "Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=0"),
        ("podman", "gpu_toolkit_missing", "Error: stat nvidia.com/gpu=0: no such file or directory"),
        ("docker", "device_missing", 'error gathering device information while adding custom device "/dev/kfd": no such file or directory'),
        ("podman", "device_missing", "Error: stat /dev/kfd: no such file or directory"),
        ("podman", "disk_full", 'Error: writing blob: storing blob to file "/var/tmp/storage1/1": write /var/tmp/storage1/1: no space left on device'),
        ("docker", "disk_full", "failed to register layer: write /usr/lib/libcublas.so.12: no space left on device"),
        ("docker", "image_unknown", "Error response from daemon: manifest for vllm/vllm-openai:v9 not found: manifest unknown"),
        ("docker", "registry_refused", "pull access denied for a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"),
        ("docker", "registry_limit", "toomanyrequests: You have reached your pull rate limit."),
        ("podman", "registry_unreachable", 'pinging container registry ghcr.io: Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io: no such host'),
        ("podman", "no_subordinate_ids", "cannot find UID/GID for user u: no subuid ranges found for user \"u\" in /etc/subuid"),
        ("podman", "port_in_use", "Error: rootlessport listen tcp 127.0.0.1:41000: bind: address already in use"),
        ("docker", "port_in_use", "Bind for 127.0.0.1:41000 failed: port is already allocated."),
        ("podman", "not_an_engine_image", "Error: crun: executable file `/app/llama-server` not found: No such file or directory: OCI runtime attempted to invoke a command that was not found"),
        ("podman", "isolation_missing", 'could not find slirp4netns, the network namespace can\'t be configured: exec: "slirp4netns": executable file not found in $PATH'),
    ],
)  # fmt: skip
def test_what_the_runtimes_say(name: ContainerRuntime, code: str, output: str) -> None:
    failure = explain(output, name, "ghcr.io/a/b:c")
    assert failure is not None
    assert failure.code == code
    assert failure.hint
    assert "{" not in failure.message + failure.hint
    assert failure.port_taken == (code == "port_in_use")


def test_another_text_is_not_explained() -> None:
    assert explain("Error: something new", "podman", "a") is None


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that fails as its service does where that does not run."""
    file = tmp_path / "bin" / "docker"
    file.parent.mkdir()
    file.write_text(
        "#!/bin/sh\necho 'Cannot connect to the Docker daemon at unix:///x' >&2\nexit 1\n"
    )
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(file.parent))
    return file


def test_a_service_that_does_not_run(program: Path) -> None:
    with pytest.raises(ModelscanError) as raised:
        checks.check(ContainerLaunch("docker", "a/b:c"))
    assert raised.value.code == "runtime_not_running"
    assert raised.value.hint == "sudo systemctl start docker"


def test_a_runtime_that_is_missing_or_elsewhere(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelscanError) as raised:
        runtime.program_of("podman")
    assert (raised.value.code, raised.value.hint) == (
        "runtime_missing", "sudo apt-get install -y podman",
    )  # fmt: skip
    monkeypatch.setenv("DOCKER_HOST", "ssh://other")
    with pytest.raises(ModelscanError, match="another machine"):
        runtime.program_of("docker")


def test_the_toolkit_is_checked_before_a_start(tmp_path: Path, program: Path) -> None:
    program.write_text('#!/bin/sh\necho \'[{"Id": "x"}]\'\n')
    card = ContainerLaunch("docker", "a/b:c", vendor="nvidia", devices=("0",))
    with pytest.raises(ModelscanError) as raised:
        checks.check(card, tmp_path)
    assert raised.value.code == "gpu_toolkit_missing"
    (program.parent / "podman").symlink_to(program)
    podman = ContainerLaunch("podman", "a/b:c", vendor="nvidia", devices=("0",))
    with pytest.raises(ModelscanError, match="not set up for podman"):
        checks.check(podman, tmp_path)
    spec = tmp_path / "etc/cdi/nvidia.yaml"
    spec.parent.mkdir(parents=True)
    spec.write_text("cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n")
    checks.check(podman, tmp_path)
    with pytest.raises(ModelscanError, match="/dev/kfd does not exist"):
        checks.check(ContainerLaunch("podman", "a", vendor="amd", devices=("/dev/kfd",)), tmp_path)


def test_engine_images_on_this_machine(program: Path) -> None:
    """docker leaves its own registry out; an image of another program is none of an engine."""
    program.write_text(
        '#!/bin/sh\n[ "$1" = image ] && echo \'[{"Id": "x", "Size": 7}]\' && exit\n'
        "printf 'vllm/vllm-openai:v0.32.0\\nghcr.io/ggml-org/llama.cpp:server-cuda\\n"
        "ghcr.io/ggml-org/llama.cpp:full\\ndebian:12\\n<none>:<none>\\n'\n"
    )
    found = [(one.engine, one.name, one.version, one.bytes) for one in images.engine_images()]
    assert found == [
        ("vllm", "docker.io/vllm/vllm-openai:v0.32.0", "0.32.0", 7),
        ("llama.cpp", "ghcr.io/ggml-org/llama.cpp:server-cuda", None, 7),
    ]


def test_a_runtime_whose_service_is_down_has_no_images(program: Path) -> None:
    assert list(images.engine_images()) == []


def test_offline_an_image_is_not_pulled(program: Path) -> None:
    with pytest.raises(ModelscanError, match="--offline is set"):
        runtime.pull("docker", "a/b:c", offline="--offline is set", report=print)


def test_a_pull_that_fails_says_why(program: Path) -> None:
    lines: list[str] = []
    program.write_text(
        "#!/bin/sh\necho copying\necho 'write /x/y: no space left on device'\nexit 1\n"
    )
    with pytest.raises(ModelscanError, match="images is full") as raised:
        runtime.pull("docker", "a/b:c", offline=None, report=lines.append)
    assert raised.value.code == "disk_full"
    assert lines[0] == "copying"

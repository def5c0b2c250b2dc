"""The exact commands of docker and podman for every engine and vendor, as text to review.

cd tests && ../.venv/bin/python -m support.container_commands     writes supervisor/golden/
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from support.deployments import plan

from modelscan.core.container import RUNTIMES, ContainerRuntime
from modelscan.core.gpu import Gpu
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Serving
from modelscan.engines.registry import engine
from modelscan.supervisor.containers.command import BASE_VARIABLES, run_command
from modelscan.supervisor.containers.handle import handle_of
from modelscan.supervisor.launch.container import ContainerHost, in_container

GOLDEN = Path(__file__).resolve().parent.parent / "supervisor" / "golden" / "containers.txt"
DIGEST = "sha256:" + "ab" * 32
FOLDER = Path("/home/u/.local/state/modelscan/deployments/m")
GGUF = "/home/u/.cache/huggingface/hub/models--o--r-GGUF/snapshots/abc/m-Q4_K_M.gguf"
SAFETENSORS = "/home/u/.cache/huggingface/hub/models--o--r/snapshots/abc"


class Case(NamedTuple):
    """``gpus``: indices that the plan uses of the machine's two."""

    backend: str
    vendor: str | None
    gpus: tuple[int, ...] = (0,)
    key: bool = False
    isolated: bool = False
    version: str | None = None


CASES = (
    Case("llama.cpp", None, ()),
    Case("llama.cpp", None, (), key=True, isolated=True),
    Case("llama.cpp", "nvidia", (1,)),
    Case("llama.cpp", "amd", (0, 1), version="b9445"),
    Case("llama.cpp", "intel"),
    Case("vllm", "nvidia", (0, 1), key=True),
    Case("vllm", "nvidia", (0,), version="0.10.2"),
    Case("vllm", "amd"),
    Case("sglang", "nvidia", (0,), key=True),
)


def gpu(index: int, vendor: str) -> Gpu:
    uuid = f"GPU-0000000{index}" if vendor == "nvidia" else None
    return Gpu(index, "card", vendor, 24 << 30, 23 << 30, "test", uuid=uuid, vendor_index=index)


def launch(case: Case, runtime: ContainerRuntime, **host: object) -> LocalLaunch:
    one = engine(case.backend)
    version = one.image_version(case.version)
    assert one.images is not None
    image = one.images.name(case.vendor, version)
    assert image is not None
    hidden = {"CUDA_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}
    values = {
        "runtime": runtime, "image": image, "digest": DIGEST if version else None,
        "gpus": tuple(gpu(n, case.vendor) for n in (0, 1)) if case.vendor else (),
        "rootless": runtime == "podman", "isolated": case.isolated, "uid": 1000, "gid": 1000,
        "root": Path("/nowhere"), **host,
    }  # fmt: skip
    serving = Serving(
        GGUF if one.runs_gguf else SAFETENSORS, "127.0.0.1", 41000, "m",
        api_key="env:MY_KEY" if case.key else None,
    )  # fmt: skip
    return in_container(_plan(case, version, hidden), serving, ContainerHost(**values))  # type: ignore[arg-type]


def _plan(case: Case, version: str | None, env: dict[str, str]) -> Plan:
    return plan(
        backend=case.backend, backend_version=version, gpus=case.gpus, env=env if case.gpus else {},
        tensor_parallel=max(1, len(case.gpus)),
    )  # fmt: skip


def text() -> str:
    return "".join(f"{line}\n" for case in CASES for line in _lines(case))


def _lines(case: Case) -> Iterator[str]:
    from modelscan.core.errors import NotDeployableError

    for runtime in RUNTIMES:
        words = [case.backend, case.vendor or "no GPU", *map(str, case.gpus), runtime]
        flags = [name for name in ("key", "isolated") if getattr(case, name)]
        yield "# " + " ".join([*words, *flags])
        try:
            made = launch(case, runtime)
        except NotDeployableError as error:
            yield f"{error.message}"
            continue
        handle = handle_of(runtime, runtime, FOLDER)
        yield " ".join(shlex.quote(word) for word in run_command(made, handle))
        variables = {**BASE_VARIABLES, **made.env, **{n: f"<{r}>" for n, r in made.secrets.items()}}
        yield "  " + " ".join(f"{name}={value}" for name, value in variables.items())


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(text())

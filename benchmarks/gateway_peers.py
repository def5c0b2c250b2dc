"""How each gateway of bench_gateway is started over the same two backends.

nginx comes from the system; the others are used if they are installed, each in an environment of
its own: ``python -m benchmarks.gateway_peers`` installs them from PyPI below .cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench-gateway"
PEERS = {
    "vllm-router": ["vllm-router"],
    "sglang-router": ["sglang-router"],
    "litellm": ["litellm[proxy]"],
}
KEY = "bench-key-0123456789abcdef"
MODEL, ROLE = "bench-model", "coder"

_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000000;
  upstream backends {{ least_conn; {servers} keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
_ROUTING = """version: 1
routing:
  mode: direct
  direct:
    default_provider: b0
    providers:
{providers}
  roles:
    - role_id: {role}
      operation: chat
      prompt_policy:
        request_policy:
          body_defaults:
            {{temperature: 0.2, top_k: 20, chat_template_kwargs: {{enable_thinking: false}}}}
"""


def installed() -> list[str]:
    """The gateways that can be compared here."""
    found = [name for name in PEERS if (CACHE / name / "bin" / "python").exists()]
    return ["modelscan", *(["nginx"] if shutil.which("nginx") else []), *found]


def command(name: str, port: int, upstreams: Sequence[int], folder: Path) -> list[str]:
    """The command line that runs a gateway in the foreground; writes its configuration."""
    return {
        "modelscan": _modelscan, "nginx": _nginx, "vllm-router": _vllm_router,
        "sglang-router": _sglang_router, "litellm": _litellm,
    }[name](port, upstreams, folder)  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    """What a gateway is started with; nothing of the user's own state."""
    return {**os.environ, "MODELSCAN_HOME": str(folder), "BENCH_KEY": KEY}


def _modelscan(port: int, upstreams: Sequence[int], folder: Path) -> list[str]:
    """With a key, receipts and a policy: every duty."""
    providers = "\n".join(
        f"      - {{name: b{at}, type: local, base_url: 'http://127.0.0.1:{one}', model: {MODEL}}}"
        for at, one in enumerate(upstreams)
    )
    config = folder / "config"
    config.mkdir()
    (config / "routing.yaml").write_text(_ROUTING.format(providers=providers, role=ROLE))
    modelscan = [sys.executable, "-m", "modelscan"]
    create = [*modelscan, "key", "create", "bench", "--value", "env:BENCH_KEY"]
    subprocess.run(create, env=environment(folder), check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return [*modelscan, "serve", "--port", str(port)]


def _nginx(port: int, upstreams: Sequence[int], folder: Path) -> list[str]:
    servers = " ".join(f"server 127.0.0.1:{one};" for one in upstreams)
    path = folder / "nginx.conf"
    path.write_text(_NGINX.format(folder=folder, servers=servers, port=port))
    return ["nginx", "-c", str(path)]


def _router(name: str, program: list[str], port: int, upstreams: Sequence[int]) -> list[str]:
    urls = [f"http://127.0.0.1:{one}" for one in upstreams]
    return [
        str(CACHE / name / "bin" / program[0]), *program[1:], "--worker-urls", *urls,
        "--host", "127.0.0.1", "--port", str(port), "--policy", "power_of_two",
        "--log-level", "error", "--prometheus-port", str(port + 1000),
    ]  # fmt: skip


def _vllm_router(port: int, upstreams: Sequence[int], _: Path) -> list[str]:
    return _router("vllm-router", ["vllm-router"], port, upstreams)


def _sglang_router(port: int, upstreams: Sequence[int], _: Path) -> list[str]:
    program = ["python", "-m", "sglang_router.launch_router"]
    return _router("sglang-router", program, port, upstreams)


def _litellm(port: int, upstreams: Sequence[int], folder: Path) -> list[str]:
    rows = "\n".join(
        f"  - model_name: {name}\n    litellm_params: {{model: hosted_vllm/{MODEL}, api_key: x,"
        f" api_base: 'http://127.0.0.1:{one}/v1'}}"
        for name in (MODEL, ROLE)
        for one in upstreams
    )
    path = folder / "litellm.yaml"
    # Newer releases start without a key of their own only where that is allowed.
    allowed = "general_settings: {dangerously_permit_weak_or_unset_master_key: true}"
    path.write_text(f"model_list:\n{rows}\n{allowed}\n")
    program = str(CACHE / "litellm" / "bin" / "litellm")
    return [program, "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]


def install() -> None:
    """Every peer into an environment of its own."""
    for name, requirements in PEERS.items():
        folder = CACHE / name
        if not (folder / "bin" / "python").exists():
            venv.create(folder, with_pip=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", *requirements], check=False
        )


if __name__ == "__main__":
    install()

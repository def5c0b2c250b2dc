"""Records what a real GPUStack answers, for ``tests/gpustack/test_recorded.py``.

    PYTHONPATH=tests python -m support.gpustack_record 2.3.0        (or 0.7.1)

starts the rig, brings models into every state that can be had in two minutes, asks for every kind of
refusal, and writes ``tests/gpustack/recorded/VERSION.json``: ``answers`` (label, method, path,
status, body), ``situations`` (a model's row beside its instances' rows, each combination of states
once) and ``watch`` (the lines of a stream). Paths of this machine and keys are replaced.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from support.gpustack_session import Server

FOLDER = Path(__file__).resolve().parents[1] / "gpustack" / "recorded"
NO_KEY = "gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef"
HUGE = {"GPUSTACK_MODEL_VRAM_CLAIM": "900000000000"}


class Recorder:
    """Asks a running server and keeps what it said."""

    def __init__(self, server: Server) -> None:
        self.server, self.modern = server, server.prefix == "/v2"
        self.answers: list[dict[str, Any]] = []
        self.situations: dict[str, dict[str, Any]] = {}
        self.watch: list[str] = []

    def ask(
        self, label: str, method: str, path: str, body: Any = None, key: str | None = "all"
    ) -> Any:
        """The body, whatever the status; ``key``: a name of the rig's keys, a key, or None."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {self.server.keys.get(key, key)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.server.url + path, data=data, method=method, headers=headers
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=60) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if label:
            self.answers.append({"label": label, "method": method, "path": path,
                                 "status": status, "body": value})  # fmt: skip
        return value

    def manage(self, label: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.ask(label, method, self.server.prefix + path, body, **more)

    def spec(self, name: str, **changes: Any) -> dict[str, Any]:
        body = {"name": name, "source": "local_path", "replicas": 1,
                "local_path": self.server.models["qwen3-0.6b"]}  # fmt: skip
        body |= {"backend": "vLLM", "cluster_id": 1, "enable_model_route": True} if self.modern \
            else {"backend": "vllm"}  # fmt: skip
        return {**body, **changes}

    def live(self, name: str, seconds: float, until: str = "", **changes: Any) -> int:
        """Create a model and keep each combination of states it goes through."""
        model = self.manage(f"create-{name}", "POST", "/models", self.spec(name, **changes))
        self.follow(name, model["id"], seconds, until)
        return int(model["id"])

    def follow(self, name: str, number: int, seconds: float, until: str = "") -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            model = self.manage("", "GET", f"/models/{number}")
            rows = self.manage("", "GET", f"/model-instances?model_id={number}")["items"]
            states = [row["state"] for row in rows]
            counts = [row.get("restart_count") or 0 for row in rows]
            label = f"{name}: {model.get('state')} {model['replicas']} {states} {counts}"
            self.situations.setdefault(label, {"model": model, "instances": rows})
            gone = until == "gone" and not rows
            if until in states or gone or (until == "twice" and max(counts, default=0) > 1):
                return
            time.sleep(0.05)

    def put(self, label: str, number: int, name: str, **fields: Any) -> None:
        same = {key: self.spec(name)[key] for key in ("name", "source", "local_path")}
        self.manage(label, "PUT", f"/models/{number}", {**same, **fields})

    def look(self) -> None:
        """The lists, once what the running model was promised is in them."""
        for _ in range(60):
            cards = self.manage("", "GET", "/gpu-devices")["items"]
            if any(card["memory"].get("allocated") for card in cards):
                break
            time.sleep(0.5)
        for kind in ("workers", "gpu-devices", "models", "model-instances", "model-files"):
            self.manage(f"list-{kind}", "GET", f"/{kind}?page=1&perPage=100")
        if self.modern:
            self.manage("list-clusters", "GET", "/clusters")
            self.manage("list-routes", "GET", "/model-routes")
        self.ask("version", "GET", "/version", key=None)

    def refusals(self, running: int) -> None:
        """One of each kind of error that a client meets."""
        chat = {"model": "nobody", "messages": [{"role": "user", "content": "Hello"}]}
        self.manage("no-key", "GET", "/models", key=None)
        self.manage("wrong-key", "GET", "/models", key=NO_KEY)
        self.manage("unknown-model", "GET", "/models/99999")
        self.manage("unknown-path", "GET", "/nothing")
        self.manage("wrong-method", "PATCH", f"/models/{running}", {})
        self.manage("duplicate", "POST", "/models", self.spec("runs"))
        self.manage("no-source", "POST", "/models", {"name": "x"})
        self.manage("negative-replicas", "POST", "/models", self.spec("x", replicas=-1))
        self.manage("no-such-worker", "POST", "/models",
                    self.spec("x", gpu_selector={"gpu_ids": ["nope:cuda:0"]}))  # fmt: skip
        self.manage("put-without-source", "PUT", f"/models/{running}", {"replicas": 0})
        self.ask("chat-unknown", "POST", "/v1/chat/completions", chat)
        self.manage("unknown-model-again", "GET", "/models/99999")  # the shape has flipped
        if self.modern:
            self.manage("wrong-scope", "GET", "/models", key="inference")
            self.ask("wrong-scope-chat", "POST", "/v1/chat/completions", chat, key="management")

    def evaluations(self) -> None:
        cases: dict[str, dict[str, Any]] = {
            "fits": {}, "too-large": {"env": HUGE},
            "hub-away": {"source": "huggingface", "huggingface_repo_id": "lab/away"},
            "indivisible": {"backend_parameters": ["--tensor-parallel-size=3"]},
            "no-such-worker": {"worker_selector": {"worker-name": "nope"}},
        }  # fmt: skip
        for label, changes in cases.items():
            body: dict[str, Any] = {"model_specs": [self.spec("x", **changes)]}
            if self.modern:
                body["cluster_id"] = 1
            self.manage(f"evaluate-{label}", "POST", "/model-evaluations", body)

    def stream(self, seconds: float) -> threading.Thread:
        """What a watch says meanwhile."""
        url = f"{self.server.url}{self.server.prefix}/model-instances?watch=true"
        key = self.server.keys["all"]
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})

        def read() -> None:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            end = time.monotonic() + seconds
            try:
                with direct.open(request, timeout=20) as answer:
                    while time.monotonic() < end and len(self.watch) < 24:
                        self.watch.append(answer.readline().decode().rstrip("\n"))
            except OSError:
                return

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def everything(self) -> None:
        self.evaluations()
        watching = self.stream(60)
        runs = self.live("runs", 90, "running", env={"START_AFTER": "2"})
        asked = {"model": "runs", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        time.sleep(1)
        self.ask("chat", "POST", "/v1/chat/completions", asked)
        instance = self.manage("", "GET", f"/model-instances?model_id={runs}")["items"][0]["id"]
        self.manage("log", "GET", f"/model-instances/{instance}/logs?tail=300&follow=false")
        self.look()
        self.refusals(runs)
        self.put("stop", runs, "runs", replicas=0)
        self.follow("stopped", runs, 10, "gone")
        self.ask("chat-stopped", "POST", "/v1/chat/completions", asked)
        self.live("huge", 6, env=HUGE)
        self.live("loop", 150, "twice", env={"FAIL_WITH": "3"})
        self.live("once", 90, "error", env={"FAIL_WITH": "3"}, restart_on_error=False)
        if self.modern:
            self.live("image", 90, "error", image_name="lab/missing:1")
        self.manage("delete", "DELETE", f"/models/{runs}")
        watching.join(30)

    def clean(self) -> str:
        """As JSON, an answer a line, without what is of this machine."""
        answers = [json.dumps(one, ensure_ascii=False) for one in self.answers]
        seen = [f"{json.dumps(label)}: {json.dumps(row)}" for label, row in self.situations.items()]
        watch = [json.dumps(line, ensure_ascii=False) for line in self.watch]
        parts = [("answers", "[]", answers), ("situations", "{}", seen), ("watch", "[]", watch)]
        lines = [f'"{name}": {a}\n' + ",\n".join(rows) + f"\n{b}" for name, (a, b), rows in parts]
        text = "{\n" + ",\n".join(lines) + "\n}"
        folder = str(Path(self.server.models["qwen3-0.6b"]).parent)
        text = text.replace(folder, "/models")
        text = text.replace(str(Path(__file__).resolve().parents[2]), "/repository")
        text = re.sub(r"/tmp/gpustack-rig-\w+", "/rig", text)
        text = re.sub(r"gpustack_[0-9a-f]{16}_[0-9a-f]{32}", NO_KEY, text)
        return re.sub(r'(\\n(?:PATH|PWD|HOME|LD_LIBRARY_PATH))=[^\\"]*', r"\1=/x", text)


def main() -> int:
    version = sys.argv[1]
    server = Server(version)
    try:
        recorder = Recorder(server)
        recorder.everything()
    finally:
        server.clear()
        server.end()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{version}.json").write_text(recorder.clean() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

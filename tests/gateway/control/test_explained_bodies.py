"""What ``route explain`` shows is what a backend receives through the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from conftest import Ran
from support.served import engines, routed, serving, write_routing

pytest_plugins = ("support.engine_fixtures",)
NAMES = ("qwen", "gpt-4o", "writer", "fast", "auto", "many/org/m:free")


def test_explained_bodies_are_sent(
    run_in_process: Callable[..., Ran], home: Path, tmp_path: Path
) -> None:
    with engines("qwen", "many") as (qwen, many):
        policy = {"body_defaults": {"top_p": 0.9}, "body_overrides": {"seed": 7}}
        entry = qwen.entry(model="Qwen/Qwen3-8B", request_policy=policy, engine="vllm")
        open_entry = many.entry(type="openai", engine="vllm")
        del open_entry["model"], open_entry["served_model"]
        prompt = {"system_prompt": "Be brief.", "user_template": "<{input}>",
                  "request_policy": {"body_defaults": {"temperature": 0.1}, "thinking": "keep"}}  # fmt: skip
        roles = [{"role_id": "writer", "prompt_policy": prompt}]
        write_routing(home, routed(entry, open_entry, aliases={"gpt-4o": "qwen"}, roles=roles))
        body = {"messages": [{"role": "user", "content": "Hi"}], "unknown": {"kept": [1]}}
        file = tmp_path / "body.json"
        file.write_text(json.dumps(body))
        with serving() as gateway:
            for name in NAMES:
                ran = run_in_process("route", "explain", name, "--body", str(file), "--json")
                assert ran.code == 0, ran
                sent = {"qwen": qwen, "many": many}[ran.json["chosen"]].requests
                status, _ = gateway.ask("POST", "/v1/chat/completions", {**body, "model": name})
                assert status == 200
                assert sent[-1] == ran.json["body"], name

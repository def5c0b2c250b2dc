"""deploy, list, show, logs, stop, start, remove: on the real engine, with a tiny model."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from support.tiny_gguf import Shape, write_tiny_gguf

from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config
from modelscan.state.store import Store

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


@pytest.fixture
def deployed(run: Run, model_file: Path) -> dict[str, Any]:
    """A running deployment ``tiny``."""
    done = run("deploy", str(model_file), "--context", "512", "--json")
    assert done.code == 0, done.out + done.err
    return dict(done.json["deployment"])


@pytest.fixture
def mortal(run: Run, model_file: Path) -> dict[str, Any]:
    """A running deployment ``tiny`` that stays down when its engine is killed."""
    done = run("deploy", str(model_file), "--restart", "no", "--json")
    assert done.code == 0, done.out + done.err
    return dict(done.json["deployment"])


def only(run: Run) -> dict[str, Any]:
    """The one deployment that ``list`` shows."""
    rows = run("list", "--json").json["deployments"]
    assert len(rows) == 1
    return dict(rows[0])


def post(port: int, path: str, body: dict[str, Any], key: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    data = json.loads(response.read())
    connection.close()
    return response.status, data


CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}


def test_a_model_is_deployed_answers_and_is_routed_to(
    deployed: dict[str, Any], config: Config, home: Path
) -> None:
    assert (deployed["name"], deployed["state"], deployed["health"]) == ("tiny", "running", "ok")
    status, answer = post(deployed["port"], "/v1/chat/completions", {"model": "tiny", **CHAT})
    assert (status, answer["model"]) == (200, "tiny")
    assert 0 < answer["usage"]["completion_tokens"] <= 3
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None
    assert (route.base_url, route.model, route.served_model, route.context_tokens) == (
        f"http://127.0.0.1:{deployed['port']}", deployed["model"], "tiny", 512,
    )  # fmt: skip
    assert route.enabled
    assert len(living(home)) == 2  # supervisor and engine


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/net/tcp")
def test_the_engine_listens_on_loopback_only(deployed: dict[str, Any]) -> None:
    listeners = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = [line.split()[1] for line in listeners if line.split()[3] == "0A"]
    ours = [a for a in addresses if a.endswith(f":{deployed['port']:04X}")]
    assert ours == [f"0100007F:{deployed['port']:04X}"]


def test_memory_is_measured_and_shown_beside_the_estimate(
    run: Run, deployed: dict[str, Any]
) -> None:
    shown = run("show", "tiny", "--json").json
    parts = {row["part"]: row for row in shown["memory"]}
    hundredth_of_a_mib = (1 << 20) / 100  # what the engine's log rounds to
    for part in ("kv_cache", "weights"):
        assert parts[part]["measured_bytes"] > 0
        assert abs(parts[part]["difference_bytes"]) <= hundredth_of_a_mib / 2 + 1
    assert shown["measured"]["total_bytes"] == parts["total"]["measured_bytes"]
    assert shown["estimate"]["total_bytes"] == parts["total"]["estimated_bytes"]
    assert shown["measured"]["load_s"] > 0
    assert shown["measured"]["rss_bytes"] > 1 << 20
    text = run("show", "tiny")
    assert "ESTIMATED\tMEASURED" in text.out
    assert f"curl http://127.0.0.1:{deployed['port']}/v1/chat/completions" in text.err


def test_the_curl_line_works(run: Run, deployed: dict[str, Any]) -> None:
    import subprocess

    line = run("show", "tiny", "--json").json["curl"].replace("Hello", "Hi")
    done = subprocess.run(["sh", "-c", f"{line} -s"], capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["object"] == "chat.completion"


def test_the_openai_client_works_with_and_without_streaming(deployed: dict[str, Any]) -> None:
    import openai

    with openai.OpenAI(base_url=deployed["endpoint"] + "/v1", api_key="none") as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        messages: Any = CHAT["messages"]
        whole = client.chat.completions.create(model="tiny", messages=messages, max_tokens=4)
        assert whole.usage is not None and whole.usage.completion_tokens <= 4
        chunks = list(
            client.chat.completions.create(
                model="tiny", messages=messages, max_tokens=4, stream=True,
                stream_options={"include_usage": True},
            )
        )  # fmt: skip
    assert len(chunks) > 2
    assert chunks[-1].usage is not None


def test_asking_the_same_again_changes_nothing(
    run: Run, deployed: dict[str, Any], model_file: Path
) -> None:
    again = run("deploy", str(model_file), "--context", "512", "--json").json
    assert again["changed"] is False
    assert again["deployment"]["pid"] == deployed["pid"]
    assert again["deployment"]["created_at"] == deployed["created_at"]


def test_another_request_under_that_name_needs_force(
    run: Run, deployed: dict[str, Any], model_file: Path
) -> None:
    refused = run("deploy", str(model_file), "--context", "256", "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "name_taken"
    assert only(run)["pid"] == deployed["pid"]
    replaced = run("deploy", str(model_file), "--context", "256", "--replace", "--json").json
    assert replaced["deployment"]["context_tokens"] == 256
    assert replaced["deployment"]["pid"] != deployed["pid"]
    assert replaced["deployment"]["port"] == deployed["port"]
    assert not psutil.pid_exists(deployed["pid"])


def test_stop_start_remove(run: Run, deployed: dict[str, Any], config: Config, home: Path) -> None:
    assert run("stop", "tiny").code == 0
    assert living(home) == []
    assert only(run)["state"] == "stopped"
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None and not route.enabled
    assert run("stop", "tiny").code == 0

    started = run("start", "tiny", "--json").json["deployments"][0]
    assert (started["state"], started["port"]) == ("running", deployed["port"])
    assert post(started["port"], "/v1/chat/completions", CHAT)[0] == 200
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None and route.enabled
    assert run("start", "tiny").code == 0

    assert run("remove", "tiny", "--yes").code == 0
    assert living(home) == []
    assert run("list", "--json").json["deployments"] == []
    assert load_routes(config.routing_file).routes == ()
    assert not (home / "state" / "deployments" / "tiny").exists()


def test_removing_needs_a_yes_where_nobody_can_be_asked(run: Run, deployed: dict[str, Any]) -> None:
    refused = run("remove", "tiny")
    assert refused.code == 2
    assert "modelscan remove tiny --yes" in refused.err
    assert only(run)["state"] == "running"


def test_several_at_once(run: Run, deployed: dict[str, Any], model_file: Path, home: Path) -> None:
    assert run("deploy", str(model_file), "--name", "second").code == 0
    partly = run("stop", "second", "nothing", "--json")
    assert partly.code == 2
    assert [one["name"] for one in partly.json["deployments"]] == ["second"]
    assert any("nothing" in warning for warning in partly.json["warnings"])
    assert run("remove", "--all", "--yes", "-q").out.split() == ["second", "tiny"]
    assert living(home) == []


def test_unknown_names_get_the_nearest(run: Run, deployed: dict[str, Any]) -> None:
    for command in ("show", "logs", "stop", "start"):
        failed = run(command, "tinny", "--json")
        assert failed.code == 2
        assert failed.json["error"]["details"]["nearest"] == ["tiny"]


def test_a_killed_engine_is_seen(run: Run, mortal: dict[str, Any], config: Config) -> None:
    os.kill(mortal["pid"], signal.SIGKILL)
    eventually(lambda: only(run)["state"] == "failed")
    row = only(run)
    assert row["reason"] == "the engine was killed by signal 9 (SIGKILL)"
    assert row["pid"] is None
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None and not route.enabled
    assert run("start", "tiny").code == 0
    assert only(run)["state"] == "running"


def test_a_hanging_engine_is_unhealthy_not_gone(
    run: Run, deployed: dict[str, Any], model_file: Path
) -> None:
    os.kill(deployed["pid"], signal.SIGSTOP)
    eventually(lambda: only(run)["health"] == "unhealthy")
    assert only(run)["state"] == "running"
    again = run("deploy", str(model_file), "--context", "512", "--json")
    assert (again.code, again.json["error"]["code"]) == (5, "unhealthy")
    assert run("start", "tiny").code == 5
    os.kill(deployed["pid"], signal.SIGCONT)
    eventually(lambda: only(run)["health"] == "ok")
    os.kill(deployed["pid"], signal.SIGSTOP)
    eventually(lambda: only(run)["health"] == "unhealthy")
    forced = run("deploy", str(model_file), "--context", "512", "--replace", "--json")
    assert forced.code == 0, forced.out
    assert forced.json["deployment"]["pid"] != deployed["pid"]


def test_a_reboot_is_seen(
    run: Run, deployed: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot no process is left and none said why; the boot id is another one."""
    running = json.loads((home / "state/deployments/tiny/process.json").read_text())
    os.kill(running["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: living(home) == [])
    monkeypatch.setattr("modelscan.targets.local.readiness.boot_id", lambda: "after-the-reboot")
    row = only(run)
    assert (row["state"], row["reason"]) == ("stopped", "the machine was restarted")
    assert run("start", "tiny").code == 0


def test_a_broken_file_fails_with_the_engines_own_words(
    run: Run, model_file: Path, tmp_path: Path, home: Path
) -> None:
    """The header is right, so planning works; the tensors are missing."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model_file.read_bytes()[:-200_000])
    failed = run("deploy", str(broken), "--json")
    assert failed.code in (2, 5)
    if failed.code == 5:
        assert "bounds" in failed.json["error"]["message"] or failed.json["error"]["hint"]
        assert only(run)["state"] == "failed"
    assert living(home) == []


def test_a_file_that_vanishes_before_a_start(
    run: Run, model_file: Path, tmp_path: Path, home: Path, config: Config
) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model_file.read_bytes())
    assert run("deploy", str(copy)).code == 0
    assert run("stop", "copy").code == 0
    copy.unlink()
    failed = run("start", "copy", "--json")
    assert failed.code == 1
    assert failed.json["error"]["code"] == "file_missing"
    assert only(run)["state"] == "stopped"
    assert living(home) == []
    route = load_routes(config.routing_file).route("copy")
    assert route is not None and not route.enabled


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS")
def test_too_little_memory_for_the_engine_is_its_own_reason(
    run: Run, tmp_path: Path, home: Path
) -> None:
    """An address space that is too small stands for a machine that is: 2 GiB of cache."""
    import resource

    file = write_tiny_gguf(tmp_path / "long.gguf", shape=Shape(context=8 << 20))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, hard))
    try:
        failed = run("deploy", str(file), "--context", "8m", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert failed.code == 5, failed.out
    assert "insufficient memory" in failed.json["error"]["message"]
    assert "--context" in failed.json["error"]["hint"]
    assert living(home) == []
    assert only(run)["state"] == "failed"


def test_a_busy_port_that_was_asked_for_is_refused(run: Run, model_file: Path, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = run("deploy", str(model_file), "--port", str(port), "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "port_in_use"
    assert run("list", "--json").json["deployments"] == []


def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our test and the engine's bind somebody else listens there."""
    from modelscan.supervisor import ports, spawn

    start, taken = spawn.start, []

    def late(rundir: Any, spec: Any) -> None:
        port = int(spec.argv[spec.argv.index("--port") + 1])
        if not taken:
            taken.append(socket.create_server(("127.0.0.1", port)))
        start(rundir, spec)

    monkeypatch.setattr(spawn, "start", late)
    done = run("deploy", str(model_file), "--json")
    busy = taken[0].getsockname()[1]
    taken[0].close()
    assert done.code == 0, done.out
    assert done.json["deployment"]["port"] != busy
    assert done.json["route"]["base_url"].endswith(f":{done.json['deployment']['port']}")
    assert ports.is_free("127.0.0.1", busy)


def test_a_start_that_takes_too_long_leaves_nothing(run: Run, model_file: Path, home: Path) -> None:
    failed = run("deploy", str(model_file), "--timeout", "0.001", "--json")
    assert failed.code == 5
    assert failed.json["error"]["code"] == "timeout"
    assert living(home) == []
    assert only(run)["state"] == "failed"
    assert run("deploy", str(model_file)).code == 0


def test_not_waiting_returns_at_once_and_list_catches_up(
    run: Run, model_file: Path, config: Config
) -> None:
    done = run("deploy", str(model_file), "--no-wait", "--json").json
    assert done["deployment"]["state"] == "starting"
    eventually(lambda: only(run)["state"] == "running")
    assert load_routes(config.routing_file).route("tiny") is not None
    assert run("show", "tiny", "--json").json["measured"]["total_bytes"] > 0


def test_measured_is_one_run_after_any_number_of_starts(run: Run, model_file: Path) -> None:
    assert run("deploy", str(model_file)).code == 0
    first = run("show", "tiny", "--json").json["measured"]["parts"]
    for command in ("restart", "stop", "start", "restart"):
        assert run(command, "tiny").code == 0
    assert run("show", "tiny", "--json").json["measured"]["parts"] == first
    run("deploy", str(model_file), "--context", "512", "--replace")
    parts = run("show", "tiny", "--json").json["measured"]["parts"]
    assert parts["weights_bytes"] == first["weights_bytes"]
    assert 0 < parts["kv_cache_bytes"] < first["kv_cache_bytes"] / 2  # 512 of 2,048 tokens


def test_the_context_is_what_the_engine_serves(run: Run, model_file: Path) -> None:
    """The model was trained for 2,048 tokens, and llama.cpp gives a slot no more than that."""
    done = run("deploy", str(model_file), "--context", "8k", "--json").json
    assert done["deployment"]["context_tokens"] == done["plan"]["context_tokens"] == 2048
    assert any("instead of the requested 8k" in text for text in done["warnings"])
    scaled = run("deploy", str(model_file), "--context", "8k", "--param", "rope-scaling=yarn",
                 "--replace", "--json").json  # fmt: skip
    assert scaled["plan"]["context_tokens"] == 8192
    assert scaled["deployment"]["context_tokens"] == 2048  # as /props says


def test_no_route_leaves_the_file_alone(run: Run, model_file: Path, config: Config) -> None:
    done = run("deploy", str(model_file), "--no-route", "--json")
    assert done.json["route"] is None
    assert not config.routing_file.exists()
    assert run("remove", "tiny", "--yes").code == 0
    assert not config.routing_file.exists()


def test_an_entry_of_somebody_else_is_kept_and_nothing_started(
    run: Run, model_file: Path, config: Config, home: Path
) -> None:
    text = (
        "version: 1\nrouting:\n  mode: direct\n  direct:\n    providers:\n"
        "      # mine\n      - {name: tiny, type: openai, base_url: 'http://127.0.0.1:9', model: x}\n"
    )
    config.routing_file.parent.mkdir(parents=True)
    config.routing_file.write_text(text)
    refused = run("deploy", str(model_file), "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "route_conflict"
    assert config.routing_file.read_text() == text
    assert living(home) == []


def test_an_embedding_model_is_served_as_such(run: Run, model_file: Path) -> None:
    done = run("deploy", str(model_file), "--embedding", "--json")
    assert done.code == 0, done.out
    assert done.json["deployment"]["task"] == "embedding"
    assert "/v1/embeddings" in done.json["curl"]
    port = done.json["deployment"]["port"]
    status, answer = post(port, "/v1/embeddings", {"input": ["a", "b"]})
    assert status == 200
    assert len(answer["data"]) == 2
    assert any(answer["data"][0]["embedding"])


def test_a_key_is_required_by_reference_and_never_written(
    run: Run, model_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "a-very-secret-key")
    done = run("deploy", str(model_file), "--api-key", "env:TINY_KEY", "--json")
    assert done.code == 0, done.out
    port = done.json["deployment"]["port"]
    assert post(port, "/v1/chat/completions", CHAT)[0] == 401
    assert post(port, "/v1/chat/completions", CHAT, "a-very-secret-key")[0] == 200
    assert "Bearer $TINY_KEY" in done.json["curl"]
    for file in home.rglob("*"):
        if file.is_file():
            assert b"a-very-secret-key" not in file.read_bytes(), file
    for pid in living(home):
        assert "a-very-secret-key" not in " ".join(psutil.Process(pid).cmdline())
    monkeypatch.delenv("TINY_KEY")
    assert run("stop", "tiny").code == 0
    assert run("start", "tiny").code == 4


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--expose"], "expose_needs_key"),
        (["--api-key", "literal-key"], "literal_secret"),
        (["--name", "Not A Name"], "bad_name"),
        (["--gpu", "RTX 4090"], "simulated"),
        (["--target", "locl"], "unknown_target"),
        (["--param", "no-such-option=1"], "unknown_option"),
    ],
)
def test_wrong_options_start_nothing(
    run: Run, model_file: Path, home: Path, options: list[str], code: str
) -> None:
    refused = run("deploy", str(model_file), *options, "--json")
    assert refused.code == 2, refused.out
    assert refused.json["error"]["code"] == code
    assert refused.json["error"]["hint"]
    assert living(home) == []
    assert run("list", "--json").json["deployments"] == []


def test_exposed_means_every_interface_with_a_key(
    run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "k3y")
    dry = run("deploy", str(model_file), "--expose", "--api-key", "env:TINY_KEY", "--dry-run",
              "--json").json  # fmt: skip
    argv = dry["launch"]["argv"]
    assert argv[argv.index("--host") + 1] == "0.0.0.0"
    assert dry["launch"]["secrets"] == {"LLAMA_API_KEY": "env:TINY_KEY"}
    assert "k3y" not in json.dumps(dry)


def test_a_dry_run_prints_the_launch_that_works_and_starts_nothing(
    run: Run, model_file: Path, home: Path
) -> None:
    import subprocess

    dry = run("deploy", str(model_file), "--dry-run", "--json").json
    assert dry["dry_run"] is True
    assert living(home) == []
    assert run("list", "--json").json["deployments"] == []
    launch = dry["launch"]
    engine = subprocess.Popen(
        launch["argv"], env={**os.environ, **launch["env"]},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = dry["deployment"]["port"]

        def answers() -> bool:
            try:
                return post(port, "/v1/chat/completions", CHAT)[0] == 200
            except OSError:
                return False

        eventually(answers, 30)
    finally:
        engine.terminate()
        assert engine.wait(120) == -signal.SIGTERM


def test_simulated_hardware_can_be_planned_for(run: Run, model_file: Path) -> None:
    dry = run("deploy", str(model_file), "--gpu", "RTX 4090", "--dry-run", "--json")
    assert dry.code == 0, dry.out
    assert dry.json["deployment"]["gpus"] == [0]


def test_logs_are_shown_tailed_followed_and_redacted(
    run: Run, mortal: dict[str, Any], home: Path
) -> None:
    whole = run("logs", "tiny", "--json").json
    assert any("buffer size" in line for line in whole["lines"])
    assert len(run("logs", "tiny", "--tail", "3").out.splitlines()) == 3
    log = home / "state/deployments/tiny/engine.log"
    with log.open("a") as stream:
        stream.write("HF_TOKEN=hf_abcdefghijklmnop\n")
    assert "hf_abcdefghijklmnop" not in run("logs", "tiny").out
    os.kill(mortal["pid"], signal.SIGKILL)
    followed = run("logs", "tiny", "-f", "--tail", "2", "--json")
    events = [json.loads(line) for line in followed.out.splitlines()]
    assert {event["event"] for event in events} == {"log"}
    assert all("hf_abcdefghijklmnop" not in event["line"] for event in events)


def test_progress_is_a_stream_of_events(run: Run, model_file: Path) -> None:
    done = run("deploy", str(model_file), "--json", "--progress")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events] == [
        "planning", "planned", "starting", "verifying", "running", "done",
    ]  # fmt: skip
    assert events[-1]["deployment"]["state"] == "running"


def test_the_engine_survives_the_command_that_started_it(
    cli: Run, run: Run, model_file: Path
) -> None:
    done = cli("deploy", str(model_file), "--json")
    assert done.code == 0, done.out + done.err
    assert only(run)["health"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_deploy_leaves_nothing_half_done(
    number: signal.Signals, home: Path, run: Run, model_file: Path, config: Config,
) -> None:  # fmt: skip
    import subprocess

    code = (
        "import sys, time, modelscan.targets.local.readiness as r\n"
        "r.verified = lambda *a, **k: (print('verifying', flush=True), time.sleep(60))\n"
        "from modelscan.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "deploy", str(model_file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "verifying\n"
    assert len(living(home)) == 2
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert err.strip().splitlines()[-1] == "interrupted"
    assert living(home) == []
    assert run("list", "--json").json["deployments"] == []
    assert load_routes(config.routing_file).routes == ()


def test_stop_ends_a_start_that_another_command_waits_for(
    home: Path, run: Run, model_file: Path
) -> None:
    import subprocess

    code = (
        "import sys, time, modelscan.targets.local.readiness as r\n"
        "r.is_ready = lambda *a: print('waiting', flush=True)\n"
        "from modelscan.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "deploy", str(model_file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    assert run("stop", "tiny").code == 0
    _, err = process.communicate(timeout=300)
    assert process.returncode == 5
    assert "stopped while it was starting" in err
    assert only(run)["state"] == "stopped"
    assert living(home) == []


def test_running_requests_may_finish_before_a_stop(run: Run, deployed: dict[str, Any]) -> None:
    import threading

    answers: list[Any] = []

    def ask() -> None:
        body = {**CHAT, "max_tokens": 400, "ignore_eos": True}
        answers.append(post(deployed["port"], "/v1/chat/completions", body))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.005)
    assert run("stop", "tiny").code == 0
    asking.join()
    assert answers and answers[0][0] == 200
    assert answers[0][1]["usage"]["completion_tokens"] == 400


def test_a_lost_store_loses_no_deployment(
    run: Run, deployed: dict[str, Any], home: Path, config: Config
) -> None:
    for file in (home / "state").glob("modelscan.sqlite3*"):
        file.unlink()
    row = only(run)
    assert (row["name"], row["state"], row["pid"]) == ("tiny", "running", deployed["pid"])
    assert run("show", "tiny", "--json").json["measured"]["total_bytes"] > 0
    assert run("remove", "tiny", "--yes").code == 0
    assert living(home) == []
    assert load_routes(config.routing_file).routes == ()


def test_a_llama_server_binary_is_used_when_one_is_configured(
    run: Run, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher takes llama-server's options, so a script around it stands for the binary."""
    program = tmp_path / "llama-server"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m modelscan.supervisor.embedded.launcher "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("MODELSCAN_LLAMA_SERVER", str(program))
    monkeypatch.setenv("TINY_KEY", "k3y-for-the-binary")
    done = run("deploy", str(model_file), "--api-key", "env:TINY_KEY", "--json")
    assert done.code == 0, done.out
    assert done.json["measured"]["total_bytes"] > 0
    port = done.json["deployment"]["port"]
    assert post(port, "/v1/chat/completions", CHAT)[0] == 401
    assert post(port, "/v1/chat/completions", CHAT, "k3y-for-the-binary")[0] == 200
    shown = run("show", "tiny", "--json").json
    assert shown["launch"]["argv"][0] == str(program)


def test_a_wrong_option_does_not_cost_the_deployment_that_runs(
    run: Run, deployed: dict[str, Any], model_file: Path
) -> None:
    refused = run("deploy", str(model_file), "--replace", "--param", "no-such-option=1")
    assert refused.code == 2
    assert only(run)["pid"] == deployed["pid"]


def test_a_broken_routing_file_does_not_hide_the_truth(
    run: Run, mortal: dict[str, Any], config: Config
) -> None:
    config.routing_file.write_text("version: [")
    os.kill(mortal["pid"], signal.SIGKILL)
    eventually(lambda: only(run)["state"] == "failed")
    listed = run("list", "--json").json
    assert "killed by signal 9" in listed["deployments"][0]["reason"]
    assert any("tiny" in warning for warning in listed["warnings"])
    refused = run("start", "tiny")
    assert refused.code != 0
    assert "Traceback" not in refused.err
    config.routing_file.unlink()
    assert run("start", "tiny").code == 0


def test_a_list_without_the_key_does_not_end_a_start(
    run: Run, model_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "k3y")
    options = ["--api-key", "env:TINY_KEY", "--no-wait"]
    assert run("deploy", str(model_file), *options).code == 0
    monkeypatch.delenv("TINY_KEY")
    ready = home / "state/deployments/tiny/ready.json"
    eventually(ready.exists)
    assert only(run)["state"] == "starting"
    assert len(living(home)) == 2
    monkeypatch.setenv("TINY_KEY", "k3y")
    assert only(run)["state"] == "running"


def test_a_dry_run_leaves_no_file_behind(run: Run, model_file: Path, home: Path) -> None:
    assert run("deploy", str(model_file), "--dry-run").code == 0
    assert not home.exists() or list(home.rglob("*")) == []


@pytest.mark.parametrize("command", ["stop", "remove"])
def test_a_broken_routing_file_does_not_keep_an_engine_alive(
    run: Run, deployed: dict[str, Any], config: Config, home: Path, command: str
) -> None:
    """The engine goes, and what could not be done is said; once the file is mended it is done."""
    good = config.routing_file.read_text()
    config.routing_file.write_text("version: [")
    ended = run(command, "tiny", *(["--yes"] if command == "remove" else []))
    assert ended.code == 0
    assert "still in the routing file" in ended.err
    assert living(home) == []
    assert config.routing_file.read_text() == "version: ["
    config.routing_file.write_text(good)
    rows = run("list", "--json").json["deployments"]
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None
    if command == "stop":
        assert (rows[0]["state"], route.enabled) == ("stopped", False)
    else:
        assert rows == []


def test_a_target_that_was_forgotten_does_not_hide_the_others(
    run: Run, deployed: dict[str, Any], config: Config
) -> None:
    with Store.open(config.paths.store_file) as store:
        row = store.get("tiny")
        assert row is not None
        store.put(replace(row, name="far", target="gone", port=None, route=None, run_id=None))
    listed = run("list", "--json")
    assert listed.code == 0
    rows = {row["name"]: row for row in listed.json["deployments"]}
    assert (rows["tiny"]["state"], rows["far"]["health"]) == ("running", "unknown")
    assert any("gone" in warning for warning in listed.json["warnings"])

"""Rows of every released version are read; those of a later one are refused by name, alone.

``rows/COMMIT.json`` was recorded from that release's own commands (``scripts/record_rows.py``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from hypothesis import given, settings
from hypothesis import strategies as st
from support.deployments import make

from modelscan.core.deployment import ClusterRecord, Deployment, EndCause, OllamaRecord
from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError
from modelscan.core.launch import ClusterLaunch, LocalLaunch, OllamaLaunch
from modelscan.state.config import load
from modelscan.state.records import FORMAT, NewerRecord, from_document, to_document
from modelscan.state.store import Store
from modelscan.supervisor.rundir import RunDir

RECORDED = [json.loads(p.read_text()) for p in sorted((Path(__file__).parent / "rows").glob("*"))]
ROWS = [row for release in RECORDED for row in release["rows"]]

OLD_TABLES = """
CREATE TABLE deployments (name TEXT PRIMARY KEY, target TEXT NOT NULL, state TEXT NOT NULL,
  port INTEGER UNIQUE, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, document TEXT NOT NULL);
CREATE TABLE measurements (deployment TEXT NOT NULL, started_at TEXT NOT NULL,
  document TEXT NOT NULL, PRIMARY KEY (deployment, started_at));
PRAGMA user_version = 2;
"""


def old_store(file: Path, rows: list[dict[str, Any]], measured: list[dict[str, Any]]) -> None:
    """A store as releases up to 9fb7434 left it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file)
    connection.executescript(OLD_TABLES)
    for row in rows:
        values = (row["name"], row["target"], row["state"], row["port"], row["created_at"],
                  row["updated_at"], json.dumps(row))  # fmt: skip
        connection.execute("INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    for one in measured:
        values = (one["deployment"], one["started_at"], json.dumps(one))
        connection.execute("INSERT INTO measurements VALUES (?, ?, ?)", values)
    connection.commit()
    connection.close()


def read(row: dict[str, Any]) -> Deployment:
    deployment, broken = from_document(row)
    assert broken == ()
    return deployment


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_a_row_is_read_whole(row: dict[str, Any]) -> None:
    """Nothing of it is lost, and it is the same once it is written in today's format."""
    deployment = read(row)
    assert deployment.plan is not None and deployment.request is not None
    assert deployment.request.model and deployment.request.changed_at is None
    assert deployment.plan.estimate.total_bytes == row["plan"]["estimate"]["total_bytes"]
    assert (deployment.measured is None) is (row["measured"] is None)
    assert read(json.loads(json.dumps(to_document(deployment)))) == deployment


def named(name: str) -> Deployment:
    return read(next(row for row in ROWS if row["name"] == name))


def test_each_target_has_its_own_types() -> None:
    local, ollama, cluster = named("running"), named("at-ollama"), named("at-cluster")
    assert isinstance(local.launch, LocalLaunch) and local.launch.argv[-2:] == (
        "--n-gpu-layers", "0",
    )  # fmt: skip
    assert local.measured is not None and local.measured.computed is not None
    assert isinstance(ollama.launch, OllamaLaunch)
    assert ollama.remote == OllamaRecord(made=ollama.launch)
    assert isinstance(cluster.launch, ClusterLaunch) and cluster.launch.marker
    assert isinstance(cluster.remote, ClusterRecord) and cluster.remote.model_id == 1
    assert cluster.remote.evaluation is not None and cluster.remote.evaluation.compatible
    assert cluster.remote.instances[0].state == "running"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("running", None),
        ("stopped", EndCause.STOPPED_BY_USER),
        ("crashed", EndCause.CRASHED),
        ("told-to-stop", EndCause.TOLD_TO_STOP),
        ("rebooted", EndCause.MACHINE_RESTARTED),
        ("idle", EndCause.IDLE),
        ("limited", EndCause.FAILED),  # the engine's own words, which no release of ours wrote
        ("unloaded", EndCause.NOT_SERVED),
        ("stopped-there", EndCause.STOPPED_AT_TARGET),
        ("deleted-there", EndCause.DELETED_AT_TARGET),
    ],
)
def test_sentences_become_causes(name: str, cause: EndCause | None) -> None:
    assert named(name).end_cause is cause


def test_run_folders_of_that_release_are_read(tmp_path: Path) -> None:
    """An engine that its supervisor ended, or will end, before this release was installed."""
    causes = {}
    for name, files in RECORDED[0]["run_folders"].items():
        rundir = RunDir(tmp_path / name)
        rundir.folder.mkdir()
        for file, value in files.items():
            (rundir.folder / file).write_text(json.dumps(value))
        assert rundir.spec() is not None and rundir.running() is not None
        ended = rundir.ended()
        causes[name] = ended.cause if ended else None
    assert causes["crashed"] is EndCause.CRASHED
    assert causes["idle"] is EndCause.IDLE
    assert causes["told-to-stop"] is causes["stopped"] is EndCause.TOLD_TO_STOP


def test_a_store_of_that_release_is_upgraded_once(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    old_store(file, ROWS, RECORDED[0]["measurements"])
    with Store.open(file) as store:
        assert [row.name for row in store.all()] == sorted(row["name"] for row in ROWS)
        assert store.notes == ()
        assert len(store.measurements()) == len(RECORDED[0]["measurements"])
    texts = [row[0] for row in sqlite3.connect(file).execute("SELECT document FROM deployments")]
    assert {json.loads(text)["format"] for text in texts} == {FORMAT}


OPTIONAL = ("plan", "measured", "remote", "request", "launch", "drift", "health", "restart")


@given(st.sampled_from(ROWS), st.dictionaries(
    st.sampled_from(OPTIONAL),
    st.one_of(st.none(), st.text(), st.integers(), st.just({}), st.just({"estimate": {}}),
              st.just({"estimate": {"total_bytes": 5, "devices": []}}), st.just({"kind": "x"})),
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_broken_part_costs_only_itself(row: dict[str, Any], broken: dict[str, Any]) -> None:
    deployment, _ = from_document({**row, **broken, "of_another_release": 1})
    whole = read(row)
    for name in (*OPTIONAL, "model", "state", "port"):
        if name not in broken:
            assert getattr(deployment, name) == getattr(whole, name)


@given(st.sampled_from(ROWS), st.sets(st.sampled_from(sorted(ROWS[0]))))
@settings(max_examples=100, deadline=None)
def test_any_row_is_a_deployment_or_an_error_of_ours(
    row: dict[str, Any], missing: set[str]
) -> None:
    kept = {key: value for key, value in row.items() if key not in missing}
    try:
        deployment, _ = from_document(kept)
    except ModelscanError as error:
        assert error.hint
    else:
        assert deployment.state in State


@pytest.fixture
def later(clean_environment: Path) -> None:
    """A store with a row of this release and one of a later one."""
    with Store.open(load().paths.store_file) as store:
        store.put(make("mine", state=State.STOPPED, port=41001, plan=None, launch=None))
        store.put(make("theirs", state=State.RUNNING, port=41002))
    connection = sqlite3.connect(load().paths.store_file)
    document = {"format": FORMAT + 1, "name": "theirs", "plan": [], "more": {"x": 1}}
    connection.execute(
        "UPDATE deployments SET document = ? WHERE name = 'theirs'", (json.dumps(document),)
    )
    connection.commit()
    connection.close()


@pytest.mark.usefixtures("later")
def test_a_later_row_is_refused_by_name_and_harms_no_other(
    run_in_process: Callable[..., Ran],
) -> None:
    listed = run_in_process("list", "--json")
    assert listed.code == 0
    assert [row["name"] for row in listed.json["deployments"]] == ["mine"]
    assert any("'theirs' was written by a later release" in text
               for text in listed.json["warnings"])  # fmt: skip
    assert run_in_process("show", "mine", "--json").code == 0
    for command in ("show", "start", "stop", "logs", "remove"):
        words = [command, "theirs", "--json", *(["--yes"] if command == "remove" else [])]
        refused = run_in_process(*words)
        assert (refused.code, refused.json["error"]["code"]) == (1, "newer_record"), command
        assert "theirs" in refused.json["error"]["message"] and refused.json["error"]["hint"]
    with Store.open(load().paths.store_file) as store:
        assert store.ports() == {41001, 41002}
        with pytest.raises(NewerRecord):
            store.get("theirs")


@pytest.mark.usefixtures("later")
def test_a_deploy_under_another_name_works(run_in_process: Callable[..., Ran]) -> None:
    """The reproduction: a row of another release ended every deploy in a traceback."""
    planned = run_in_process("deploy", "demo", "--dry-run", "--json")
    assert planned.code == 0, planned.out
    taken = run_in_process("deploy", "demo", "--name", "theirs", "--json")
    assert (taken.code, taken.json["error"]["code"]) == (1, "newer_record")


def test_the_row_of_the_reproduction(
    run_in_process: Callable[..., Ran], clean_environment: Path
) -> None:
    """A plan without the fields of this release, a launch with one that it does not know."""
    row = next(row for row in ROWS if row["name"] == "stopped")
    plan = {"estimate": {"total_bytes": 5, "devices": []}}
    launch = {**row["launch"], "future_field": 1}
    old_store(load().paths.store_file, [{**row, "plan": plan, "launch": launch}], [])
    assert run_in_process("deploy", "demo", "--dry-run").code == 0
    shown = run_in_process("show", "stopped", "--json")
    assert shown.code == 0, shown.out + shown.err
    assert shown.json["plan"] is None and shown.json["launch"]["argv"] == row["launch"]["argv"]
    assert any("plan" in text for text in shown.json["warnings"])

"""Changes by the file's owner: checked, kept in the history, undone; imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.routing.answers import list_aliases, list_revisions, undo_change
from modelscan.routing.edit import load_plain
from modelscan.routing.edits import (
    add_provider,
    add_role,
    edit_item,
    read_assignments,
    remove_provider,
    remove_role,
    set_alias,
)
from modelscan.routing.file import add_route, disable_route, load
from modelscan.routing.history import KEPT, folder_of
from modelscan.routing.imports import import_file
from modelscan.routing.modes import set_mode, show_mode

OWN = """\
# ours
version: 1
routing:
  direct:
    default_provider: a
    providers:
      - name: a  # the big one
        type: local
        base_url: http://127.0.0.1:1
        model: lab/a
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "routing.yaml"
    file.write_text(OWN)
    return file


def values(path: Path) -> Any:
    return load_plain(path.read_text())["routing"]


def test_entries_are_added_edited_and_removed(path: Path) -> None:
    fields = {"name": "b", "type": "openai", "preset": "hf", "tags": ["x"]}
    answer = add_provider(path, {**fields, "request_policy": {"body_defaults": {"top_k": 20}}})
    assert answer.applied
    assert "+      - name: b" in answer.diff
    edit_item(
        path,
        "providers",
        "b",
        {"model": "org/m", "request_policy.body_defaults.top_k": 5},
        ["tags"],
    )
    assert values(path)["direct"]["providers"][1] == {
        "name": "b", "type": "openai", "preset": "hf", "model": "org/m",
        "request_policy": {"body_defaults": {"top_k": 5}},
    }  # fmt: skip
    remove_provider(path, "b")
    assert path.read_text() == OWN


def test_a_dry_run_writes_nothing(path: Path) -> None:
    answer = set_alias(path, "gpt-4o", "a", dry_run=True)
    assert not answer.applied
    assert "+    gpt-4o: a" in answer.diff
    assert path.read_text() == OWN
    assert list_revisions(path).revisions == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: add_provider(p, {"name": "a", "type": "local"}), "has an entry 'a' already"),
        (lambda p: add_provider(p, {"name": "b", "type": "local", "model": "m"}), "needs base_url"),
        (lambda p: edit_item(p, "providers", "a", {"modle": "x"}), "unknown key 'modle'"),
        (lambda p: edit_item(p, "providers", "a", {}, ["model"]), "needs model"),
        (lambda p: edit_item(p, "providers", "aa", {"model": "x"}), "no entry 'aa'"),
        (lambda p: edit_item(p, "roles", "r", {"operation": "chat"}), "no role 'r'"),
        (lambda p: add_role(p, {"role_id": "a"}), "a role and a provider"),
        (lambda p: remove_role(p, "fast"), "no role 'fast'"),
        (lambda p: set_alias(p, "x", "nothing"), "which does not exist"),
        (lambda p: set_alias(p, "x", None), "no alias 'x'"),
        (lambda p: set_mode(p, "plano_proxy", {}), "needs the address of Plano"),
        (lambda p: set_mode(p, "direct", {"image": "x"}), "--image is not for mode direct"),
        (lambda p: read_assignments(["model"]), "not KEY=VALUE"),
        (lambda p: undo_change(p, None), "nothing to undo"),
        (lambda p: undo_change(p, 7), "revision 7 is not kept"),
    ],
)  # fmt: skip
def test_what_would_break_the_file_is_refused(path: Path, change: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        change(path)
    assert path.read_text() == OWN


def test_an_error_that_was_there_before_does_not_stop_other_changes(path: Path) -> None:
    path.write_text(OWN + "  aliases: {old: gone}\n")
    set_alias(path, "new", "a")
    assert {one.name for one in list_aliases(path).aliases} == {"old", "new"}


def test_an_entry_of_a_deployment_is_not_removed_here(path: Path) -> None:
    add_route(path, Route("d", "local", "http://127.0.0.1:2", "lab/d", deployment="d"))
    with pytest.raises(UsageError, match="belongs to the deployment 'd'") as error:
        remove_provider(path, "d")
    assert error.value.hint == "modelscan remove d"


def test_every_change_can_be_undone_one_after_the_other(path: Path) -> None:
    """Also a change by hand between two of ours."""
    set_alias(path, "one", "a")
    by_hand = path.read_text().replace("# ours", "# by hand")
    path.write_text(by_hand)
    set_alias(path, "two", "a")
    add_role(path, {"role_id": "r"})
    assert [one.change for one in list_revisions(path).revisions] == [
        "add role r", "alias two", "alias one",
    ]  # fmt: skip
    undo_change(path, None)
    assert set(values(path)["aliases"]) == {"one", "two"}
    assert undo_change(path, 2).revision.change == "alias two"
    assert path.read_text() == by_hand
    undo_change(path, None)
    assert path.read_text() == OWN
    assert list_revisions(path).revisions == ()


def test_the_history_is_bounded_and_survives_a_broken_index(path: Path) -> None:
    for number in range(KEPT + 3):
        set_alias(path, f"n{number}", "a")
    revisions = list_revisions(path).revisions
    assert [len(revisions), revisions[-1].number] == [KEPT, 4]
    assert len(list(folder_of(path).glob("*.yaml"))) == KEPT
    (folder_of(path) / "index.json").write_text("{broken")
    set_alias(path, "last", "a")
    assert len(list_revisions(path).revisions) == 1


def test_recommended_values_are_written_once_and_stay_the_owners(path: Path) -> None:
    route = Route("d", "local", "http://127.0.0.1:2", "lab/d", deployment="d")
    add_route(path, route, {"temperature": 0.6, "top_k": 20})
    edit_item(path, "providers", "d", {"request_policy.body_defaults.temperature": 0.1})
    disable_route(path, "d")
    add_route(path, route, {"temperature": 0.6, "top_k": 20})
    entry = values(path)["direct"]["providers"][1]
    assert entry["request_policy"] == {"body_defaults": {"temperature": 0.1, "top_k": 20}}
    assert load(path).findings == ()


GENIEHIVE = """\
roles:
  - role_id: "mentor"
    display_name: "Mentor"
    operation: "chat"
    modality: "text"
    prompt_policy:
      system_prompt: "Guide the user."
      user_template: "Question: {{ user_input }}"
    routing_policy:
      preferred_families: ["Qwen3", "Mistral"]
      min_context: 8192
  - role_id: "transcriber"
    operation: "transcription"
    modality: "audio"
"""


def test_roles_of_geniehive_are_imported(path: Path, tmp_path: Path) -> None:
    source = tmp_path / "roles.yaml"
    source.write_text(GENIEHIVE)
    import_file(path, source)
    file = load(path)
    assert [role.role_id for role in file.roles] == ["mentor", "transcriber"]
    mentor = file.role("mentor")
    assert mentor is not None
    assert mentor.prompt_policy is not None
    assert mentor.prompt_policy.user_template == "Question: {input}"
    assert path.read_text().startswith("# ours")
    again = import_file(path, source)
    assert again.diff == ()


def test_an_unknown_key_of_an_imported_role_is_named_with_its_line(
    path: Path, tmp_path: Path
) -> None:
    source = tmp_path / "roles.yaml"
    source.write_text(GENIEHIVE.replace('modality: "audio"', 'modalty: "audio"'))
    with pytest.raises(UsageError, match=r"roles.yaml, line 14: .*unknown key 'modalty'") as error:
        import_file(path, source)
    assert error.value.hint == "did you mean modality?"


@pytest.mark.parametrize("text", ["", "x: 1\n", "roles: []\n", "[1]\n"])
def test_a_file_without_anything_to_import_is_refused(
    path: Path, tmp_path: Path, text: str
) -> None:
    source = tmp_path / "other.yaml"
    source.write_text(text)
    with pytest.raises(UsageError, match="has no roles, aliases or entries"):
        import_file(path, source)


def test_modes_are_written_and_read(path: Path) -> None:
    set_mode(path, "plano_proxy", {"base_url": "http://127.0.0.1:12000", "api_key": "env:P"})
    assert (show_mode(path).mode, show_mode(path).base_url) == (
        "plano_proxy", "http://127.0.0.1:12000",
    )  # fmt: skip
    set_mode(path, "plano_embedded", {"image": "katanemo/plano:0.4.1"})
    command = show_mode(path).command or ""
    assert "--publish 127.0.0.1:10000:10000" in command
    assert " -p " not in command
    assert command.endswith("katanemo/plano:0.4.1")
    set_mode(path, "direct", {})
    assert show_mode(path).command is None
    assert load(path).findings == ()

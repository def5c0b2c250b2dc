"""``chat``, ``uninstall`` and the words of other tools, as a person types them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from conftest import Ran

from modelscan.cli.examples import EXAMPLES
from modelscan.cli.framework import Root
from modelscan.core.errors import RemoteError
from modelscan.routing.chat import ChatReply, _pieces
from scripts.build_docs import command_paths

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]


@pytest.fixture
def demo(run_in_process: Run, home: Path) -> Run:
    assert run_in_process("deploy", "demo", "-q").code == 0
    return run_in_process


def test_a_question_is_answered_and_saved_only_where_asked(
    demo: Run, cli: Run, tmp_path: Path
) -> None:
    answer = demo("chat", "demo", "What", "is", "modelscan?", "--temperature", "0", "--json").json
    assert answer["question"] == "What is modelscan?"
    assert len(answer["answer"].split()) > 5
    assert answer["usage"]["completion_tokens"] > 5
    file = tmp_path / "talk.md"
    options = ("--temperature", "0", "--save", str(file))
    piped = cli("chat", "demo", *options, stdin="What is modelscan?")
    assert piped.out.strip() == answer["answer"].strip()
    assert "What is modelscan?" in file.read_text()
    assert answer["answer"].strip() in file.read_text()


@pytest.mark.parametrize(
    "event",
    ['{"choices": 5}', '{"choices": [1, {"delta": [2]}, {"delta": {"content": 3}}]}', "[" * 90_000,
     '{"choices": [], "n": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_an_event_of_another_kind_is_skipped_or_named(event: str) -> None:
    reply = ChatReply()
    with contextlib.suppress(RemoteError):
        assert list(_pieces(event, reply)) == []
    assert reply.content == ""


def test_a_stopped_or_unknown_model_cannot_be_asked(demo: Run) -> None:
    assert demo("stop", "demo", "-q").code == 0
    refused = demo("chat", "demo", "Hello")
    assert (refused.code, "modelscan start demo" in refused.err) == (2, True)
    assert demo("chat", "nothing", "Hello").code == 2


def test_uninstall_lists_and_then_removes_everything(demo: Run, home: Path, cli: Run) -> None:
    listed = demo("uninstall", "--json").json
    assert listed["removed"] is False
    assert {"deployment", "folder"} <= {item["kind"] for item in listed["items"]}
    shown = cli("uninstall").err
    assert shown.count("uninstall --yes") == 0  # a pipe gets no hints
    assert "these would be removed" in shown and "pip uninstall modelscan-deploy" in shown
    assert "these were removed" in demo("uninstall", "--yes").err
    assert not any(home.rglob("*.sqlite3"))
    assert demo("list", "--json").json["deployments"] == []
    assert demo("uninstall", "--json").json["items"] == []


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("run", "modelscan deploy"),
        ("download", "modelscan pull"),
        ("recommend", "modelscan catalog runnable"),
        ("lst", "modelscan list"),
    ],
)
def test_words_of_other_tools_lead_to_the_command(
    run_in_process: Run, word: str, hint: str
) -> None:
    refused = run_in_process(word, "demo")
    assert refused.code == 2
    assert f"hint: {hint}" in refused.err


def test_every_command_has_examples_that_parse() -> None:
    """Each is parsed by the real commands; nothing is run."""
    root = Root(name="modelscan")
    leaves = [words for words in command_paths() if words and not _is_group(root, words)]
    assert {" ".join(words) for words in leaves} <= set(EXAMPLES)
    import shlex

    for name, lines in EXAMPLES.items():
        for line in lines:
            words = shlex.split(line)
            assert words[: len(name.split())] == name.split()
            _parse(root, words)


def _is_group(root: Root, words: tuple[str, ...]) -> bool:
    command: click.Command | None = root
    context = click.Context(root)
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(context, word)
    return isinstance(command, click.Group) and command.name != "gpu"


def _parse(root: Root, words: list[str]) -> None:
    context = click.Context(root)
    command: click.Command | None = root
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    assert command is not None
    command.make_context(command.name, list(words), resilient_parsing=False)

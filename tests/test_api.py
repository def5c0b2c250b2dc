"""The public Python interface: documented, typed, without global state, and cheap to import."""

from __future__ import annotations

import doctest
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran

import modelscan
from modelscan.cli.app import run
from modelscan.cli.context import Context, Flags
from modelscan.cli.output import Output

PAGE = REPOSITORY / "docs" / "reference" / "python.md"


def test_the_reference_page_runs() -> None:
    """Every example of docs/reference/python.md, in order, in one session."""
    blocks = re.findall(r"^```pycon\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(example, out=report.write)
    assert runner.failures == 0, report.getvalue()
    assert runner.tries > 20


def test_every_method_is_documented() -> None:
    """The page names each public method, and each has a docstring."""
    text = PAGE.read_text()
    for name in vars(modelscan.Workspace):
        if not name.startswith("_") and name not in (
            "config",
            "cache",
            "history",
            "route",
            "targets",
        ):
            assert re.search(rf"\b{name}\b", text), name
        if not name.startswith("_"):
            assert getattr(modelscan.Workspace, name).__doc__, name


def test_public_names() -> None:
    """Each name of ``__all__`` is there; another one is an AttributeError."""
    assert [getattr(modelscan, name) for name in modelscan.__all__]
    assert set(modelscan.__all__) <= set(dir(modelscan))
    with pytest.raises(AttributeError):
        modelscan.nothing  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """The stub lists what ``__all__`` does, from the same modules."""
    stub = (REPOSITORY / "modelscan" / "__init__.pyi").read_text()
    imports = re.findall(r"^from (\S+) import \w+ as (\w+)$", stub, re.M)
    homes = {name: module for module, name in imports}
    assert homes == modelscan._HOMES
    assert {*homes, "__version__"} == set(modelscan.__all__)


def test_import_is_cheap() -> None:
    """``import modelscan`` loads no other module of ours and nothing of others."""
    code = (
        "import sys; before = set(sys.modules); import modelscan; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"modelscan", "__future__"}


def test_the_workspace_is_light() -> None:
    """A workspace loads settings only: no HTTP client, printer, database or engine."""
    code = (
        "import sys, modelscan; modelscan.Workspace(); "
        "heavy = {'httpx', 'rich', 'typer', 'click', 'sqlite3', 'msgspec', 'yaml', 'psutil'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_homes_are_apart(tmp_path: Path) -> None:
    """Two workspaces of one process have their own folders and settings."""
    one = modelscan.Workspace(home=tmp_path / "one", settings={"goal": "speed"})
    two = modelscan.Workspace(home=tmp_path / "two")
    assert one.config.paths.config == tmp_path / "one" / "config"
    assert two.config.paths.config == tmp_path / "two" / "config"
    assert (one.config.goal, two.config.goal) == ("speed", "quality")


def test_answers_are_the_commands_bodies(run_in_process: Callable[..., Ran]) -> None:
    """``to_json`` of a method's answer is what the command prints inside its frame."""
    workspace = modelscan.Workspace()
    pairs = [
        (["catalog", "search", "qwen"], workspace.search("qwen")),
        (
            ["catalog", "info", "qwen3-8b", "--gpu", "24GiB"],
            workspace.info("qwen3-8b", gpu="24GiB"),
        ),
        (["catalog", "sources"], workspace.sources()),
        (["gpu", "--gpu", "2x H100"], workspace.hardware("2x H100")),
        (["gpu", "facts", "H100"], workspace.gpu_facts("H100")),
        (["route", "list"], workspace.routes()),
        (["target", "list"], workspace.targets()),
        (["config", "show"], workspace.settings()),
        (["cache", "list"], workspace.cache()),
    ]
    for arguments, answer in pairs:
        printed = run_in_process(*arguments, "--json").json
        frame = {"schema": printed.pop("schema"), "warnings": printed.pop("warnings")}
        body = modelscan.to_json(answer)
        assert frame["warnings"] == list(body.pop("warnings", []))
        for host in (printed.get("host"), body.get("host")):
            if host:  # it changes between the two readings
                host.pop("free_bytes")
        assert printed == body, arguments


def test_threads_share_a_workspace() -> None:
    """Many threads ask one workspace at once and get the answers of one."""
    workspace = modelscan.Workspace()
    words = ["qwen", "llama", "gemma", "coder", "mistral", "embedding"]

    def ask(word: str) -> tuple[object, ...]:
        decision = workspace.plan("qwen3-8b", gpu="RTX 4090")
        assert decision.plan is not None
        return workspace.search(word), workspace.info("qwen3-4b", gpu="24GiB"), decision.plan

    ask("qwen")  # the first question finds out that the hub cannot be reached, and says so
    alone = [ask(word) for word in words]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(ask, words * 2))
    assert together == alone * 2


def test_commands_run_at_once() -> None:
    """Two runs of one command in one process each print to their own output."""
    barrier = threading.Barrier(4)

    def search(word: str) -> tuple[int, dict[str, object]]:
        out = io.StringIO()
        output = Output.detect(as_json=True, quiet=False, stdout=out, stderr=io.StringIO())
        context = Context(Flags(), output)
        barrier.wait()
        code = run(["catalog", "search", word, "--json"], context)
        return code, json.loads(out.getvalue())

    words = ["qwen", "llama", "gemma", "coder"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(search, words))
    assert [code for code, _ in answers] == [0, 0, 0, 0]
    assert [answer["query"] for _, answer in answers] == words


class Tags(HTMLParser):
    """The elements of a text, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_pictures_are_closed_and_need_nothing() -> None:
    """Plain elements with inline styles: no script, no link, nothing left open."""
    workspace = modelscan.Workspace()
    workload = modelscan.Workload(backend="vllm")
    pictures = [
        workspace.search("qwen")._repr_html_(),
        workspace.estimate("qwen3-8b", workload, gpu="2x RTX 4090")._repr_html_(),
        workspace.plan("qwen3-8b", gpu="RTX 4090")._repr_html_(),
        workspace.plan("deepseek-r1", gpu="RTX 4090")._repr_html_(),
        workspace.routes()._repr_html_(),
    ]
    for picture in pictures:
        tags = Tags(picture)
        assert tags.open == []
        assert tags.seen
        assert not {"script", "link", "img", "iframe"} & set(tags.seen)


def test_pictures_escape_foreign_text() -> None:
    """A model's name from a hub is text, never markup."""
    from modelscan.core.html import memory_bar, table

    evil = "<script>alert(1)</script>\"'"
    for picture in (table((evil,), [[evil]], caption=evil), memory_bar(evil, [(evil, 7)], 9)):
        assert "<script" not in picture
        assert "&lt;script&gt;" in picture
        Tags(picture)


def test_errors_are_of_one_tree() -> None:
    """Every public error is a ModelscanError with a message and a hint."""
    workspace = modelscan.Workspace(offline=True)
    with pytest.raises(modelscan.UsageError) as unknown:
        workspace.info("no-such-model-anywhere")
    assert unknown.value.hint
    with pytest.raises(modelscan.OfflineError):
        workspace.sync()
    with pytest.raises(modelscan.ModelscanError):
        workspace.show("nothing")

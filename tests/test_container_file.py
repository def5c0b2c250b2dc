"""The container file by its text; test_container_image.py builds it.

``make test-container`` needs root and the Debian packages.
"""

from __future__ import annotations

import json
import re
import sys

from conftest import REPOSITORY

from modelscan.cli.framework import Root
from modelscan.state.config import load

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _instructions() -> list[tuple[str, str]]:
    text = (REPOSITORY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def _last(name: str) -> str:
    return [rest for word, rest in _instructions() if word == name][-1]


def test_it_runs_as_an_ordinary_user() -> None:
    words = [word for word, _ in _instructions()]
    assert _last("USER").isdigit() and int(_last("USER")) >= 1000
    assert words.index("ENTRYPOINT") > len(words) - 1 - words[::-1].index("USER")
    assert "ADD" not in words


def test_its_base_has_a_version_and_can_be_replaced() -> None:
    base = _last("ARG").removeprefix("BASE=")
    assert re.fullmatch(r"[\w./-]+:\d[\w.-]+", base)
    assert all(rest.startswith("${BASE}") for word, rest in _instructions() if word == "FROM")


def test_its_command_its_port_and_its_extras_exist() -> None:
    assert json.loads(_last("ENTRYPOINT")) == ["modelscan"]
    name, *options = json.loads(_last("CMD"))
    command = Root(name="modelscan").get_command(None, name)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in options if word.startswith("--")} <= known
    assert "--expose" in options  # without a key it refuses to start
    assert int(_last("EXPOSE")) == load().serve_port
    extras = re.search(r'"\.\[([a-z,]+)\]"', (REPOSITORY / "Containerfile").read_text())
    assert extras is not None
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])


def test_no_credential_is_in_it() -> None:
    text = (REPOSITORY / "Containerfile").read_text(encoding="utf-8")
    assert not re.search(r"(?i)\b(token|password|secret|api_key)\b\s*=", text)
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", ".cache"} <= set(ignored)

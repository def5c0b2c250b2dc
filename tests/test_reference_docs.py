"""The reference pages are generated from the code and are up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import REPOSITORY

from scripts import build_docs, docs_environment, docs_errors
from scripts.docs_man import man_pages
from scripts.docs_schemas import json_page, json_types_page


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return build_docs.pages()


def test_every_page_is_what_the_code_says(pages: dict[str, str]) -> None:
    assert build_docs.stale() == [], "run: make docs"
    assert {f"docs/reference/{name}" for name in pages} <= {
        file.relative_to(REPOSITORY).as_posix() for file in build_docs.everything()
    }


def test_manual_pages_are_clean_roff(tmp_path: Path) -> None:
    """No line of text is taken for a control line; groff, where it is there, warns of nothing."""
    macros = {"TH", "SH", "SS", "B", "BR", "TP", "PP", "RS", "RE", '\\"'}
    for name, text in man_pages().items():
        assert text.isascii() and not re.findall(r"^'", text, re.MULTILINE), name
        assert set(re.findall(r"^\.(\S+)", text, re.MULTILINE)) <= macros, name
        assert ".SH NAME\n" in text
    groff = shutil.which("groff")
    if groff:
        file = tmp_path / "all.1"
        file.write_text("".join(man_pages().values()))
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", file], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""


def test_every_command_has_its_help_at_80_columns(pages: dict[str, str]) -> None:
    titles = set(re.findall(r"^## `(.+)`$", pages["cli.md"], re.MULTILINE))
    assert titles >= {"modelscan", "modelscan plan", "modelscan catalog search", "modelscan config"}
    assert len(titles) == len(build_docs.command_paths())
    for line in pages["cli.md"].splitlines():
        assert len(line) <= 80 or line.startswith("##"), line


def test_every_document_is_listed(pages: dict[str, str]) -> None:
    names = set(re.findall(r"^## `modelscan\.(.+)/\d+`$", pages["json.md"], re.MULTILINE))
    files = {path.stem for path in (REPOSITORY / "modelscan" / "schemas").glob("*.json")}
    assert names <= files
    assert {"plan", "estimate", "deploy", "error", "catalog.info"} <= names


def test_every_link_to_a_type_has_its_section(pages: dict[str, str]) -> None:
    types = pages["json-types.md"]
    sections = {title.lower() for title in re.findall(r"^## (\w\S*)$", types, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\S+?)\)", types)) <= sections
    linked = set(re.findall(r"\]\(json-types\.md#(\S+?)\)", pages["json.md"]))
    assert linked and linked <= sections


def test_fields_are_written_out(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        """{"title": "modelscan a", "type": "object", "required": ["schema", "rows"], "properties": {
        "schema": {"const": "modelscan.a/1"},
        "rows": {"type": "array", "items": {"type": "object", "required": ["x"], "properties": {
          "x": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "how many"},
          "y": {"$ref": "#/$defs/part"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}}},
        "$defs": {"part": {"type": "object", "required": ["b"],
                           "properties": {"b": {"enum": ["u", null]}}}}}"""
    )
    page = json_page(tmp_path)
    assert "| `rows` | array of object |  |" in page
    assert "| `rows[].x` | whole number \\| null | how many |" in page
    assert "| `rows[].y?` | [part](json-types.md#part) |  |" in page
    assert "| `map?` | object of text |  |" in page
    types = json_types_page(tmp_path)
    assert '## part\n\n| field | type |\n|---|---|\n| `b` | `"u"` \\| `null` |' in types


def test_every_exit_status_is_explained(pages: dict[str, str]) -> None:
    statuses = re.findall(r"^\| (\d+) \|", pages["exit-codes.md"], re.MULTILINE)
    assert statuses == ["0", "1", "2", "3", "4", "5", "130"]


def test_every_variable_that_is_read_has_its_line(pages: dict[str, str]) -> None:
    known = docs_environment.documented() | docs_environment.INTERNAL
    assert [one for one in docs_environment.read_names() if one[1] not in known] == []
    for name in docs_environment.documented():
        assert (
            f"| `{name}` |" in pages["environment.md"] or f"`{name}` |" in pages["environment.md"]
        )


def test_every_error_code_has_its_line_with_texts_and_hints(pages: dict[str, str]) -> None:
    page = pages["errors.md"]
    codes = {place.code for _, place in docs_errors.every_place()}
    assert len(codes) > 200
    assert codes == set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    assert "| `expose_needs_key` | 2 |" in page and "modelscan catalog sync" in page
    assert "| `path_not_found` | 404 | there is no path" in page

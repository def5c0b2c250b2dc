"""One document, four modes: the printer's contract, tested as a matrix."""

from __future__ import annotations

import io
import json

import pytest

from modelscan.cli.document import Document, Fields, Note, Table, Text
from modelscan.cli.output import Mode, Output, flat, safe
from modelscan.core.errors import UsageError

DOCUMENT = Document(
    "things",
    {"things": [{"name": "a", "size_bytes": None}]},
    [
        Table(("NAME", "SIZE"), [("a\tb", None), ("長い名前", 12)], numeric=("SIZE",)),
        Fields([("key", "one\ntwo"), ("flag", True)]),
        Text("plain"),
        Note("for a person"),
    ],
    ids=["a"],
    warnings=["source x is down"],
)


def printed(mode: Mode, *, color: bool = False, width: int = 80) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    Output(mode, out, err, color=color, width=width).emit(DOCUMENT)
    return out.getvalue(), err.getvalue()


def test_human_is_aligned() -> None:
    """Upper-case headers, no borders, unknown is a dash, numbers to the right."""
    out, err = printed(Mode.HUMAN)
    assert out == (
        "NAME      SIZE\na b          -\n長い名前    12\nkey   one\n      two\nflag  yes\nplain\n"
    )
    assert err == "warning: source x is down\nfor a person\n"


def test_pipe_is_tab_separated_and_whole() -> None:
    """One row per line, tabs only between cells, nothing cut."""
    out, err = printed(Mode.PIPE, width=10)
    assert out == "NAME\tSIZE\na b\t-\n長い名前\t12\nkey\tone two\nflag\tyes\nplain\n"
    assert "warning: source x is down" in err


def test_json_is_one_object_with_schema_and_warnings() -> None:
    """Nothing else on stdout, nothing on stderr; unknown is null."""
    out, err = printed(Mode.JSON)
    assert json.loads(out) == {
        "schema": "modelscan.things/1",
        "things": [{"name": "a", "size_bytes": None}],
        "warnings": ["source x is down"],
    }
    assert out.count("\n") == 1
    assert err == ""


def test_quiet_is_ids() -> None:
    """``-q`` prints ids only; warnings still reach stderr."""
    assert printed(Mode.QUIET) == ("a\n", "warning: source x is down\n")


@pytest.mark.parametrize("mode", [Mode.HUMAN, Mode.PIPE, Mode.QUIET])
def test_errors_go_to_stderr_with_a_hint(mode: Mode) -> None:
    """``error: …``, blank line, ``hint: …``."""
    out, err = io.StringIO(), io.StringIO()
    Output(mode, out, err).error(UsageError("no model 'x'", hint="modelscan catalog search x"))
    assert out.getvalue() == ""
    assert err.getvalue() == "error: no model 'x'\n\nhint: modelscan catalog search x\n"


def test_json_errors_are_documents() -> None:
    """A failure speaks JSON too."""
    out, err = io.StringIO(), io.StringIO()
    Output(Mode.JSON, out, err).error(UsageError("no", details={"n": 1}))
    assert json.loads(out.getvalue()) == {
        "schema": "modelscan.error/1",
        "error": {"code": "usage", "message": "no", "hint": None, "details": {"n": 1}},
    }


def test_foreign_text_cannot_drive_the_terminal() -> None:
    """Escape sequences from a hub's model name are dropped."""
    assert safe("\x1b[31mred\x07") == "[31mred"


WIDE = Table(
    ("ID", "SIZE", "TEXT", "MORE", "LEAST"),
    [("a-very-long-identifier/model-name", "1,234,567", "prose " * 9, "more " * 9, "least " * 9)],
    numeric=("SIZE",),
    optional=("MORE", "LEAST"),
)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_wide_table_keeps_its_point(width: int) -> None:
    """Id and number are whole at any width, no row wraps, only optional columns are left out."""
    out = io.StringIO()
    Output(Mode.HUMAN, out, io.StringIO(), width=width).emit(Document("t", {}, [WIDE]))
    header, row = out.getvalue().splitlines()
    assert len(row) <= width
    assert "a-very-long-identifier/model-name" in row
    assert "1,234,567" in row
    assert "TEXT" in header
    assert ("LEAST" in header) == (width >= 80)


def test_wide_characters_are_counted_twice() -> None:
    """Columns stay aligned, and a shortened cell ends in an ellipsis."""
    table = Table(("A", "TEXT", "N"), [("x", "長い名前です" * 9, 12)], numeric=("N",))
    out = io.StringIO()
    Output(Mode.HUMAN, out, io.StringIO(), width=40).emit(Document("t", {}, [table]))
    row = out.getvalue().splitlines()[1]
    assert row.endswith(("… 12", "…  12"))


def test_prose_is_wrapped_between_words_and_commands_are_not() -> None:
    """A sentence never breaks inside a word; what one copies stays on one line."""
    command = "modelscan deploy " + "x" * 90
    fields = Fields([("reason", "word " * 30), ("run", command), ("path", "/" + "y" * 90)])
    out = io.StringIO()
    Output(Mode.HUMAN, out, io.StringIO(), width=40).emit(Document("t", {}, [fields]))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 40 for line in lines if "word" in line)
    assert command in out.getvalue()
    assert "/" + "y" * 90 in out.getvalue()


def test_one_line_cells() -> None:
    assert flat("a\n b\tc") == "a b c"


def test_output_without_utf8_does_not_fail() -> None:
    """A C locale gets a replacement, not a traceback."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Output(Mode.PIPE, out, io.StringIO()).emit(DOCUMENT)
    out.flush()
    assert b"????" in raw.getvalue()

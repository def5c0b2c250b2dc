"""One document, four modes: the printer's contract, tested as a matrix."""

from __future__ import annotations

import io
import json

import pytest

from modelscan.cli.document import Document, Fields, Note, Table, Text
from modelscan.cli.output import Mode, Output, clip, display_width, fit_widths, flat, safe
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


def test_a_wide_table_shrinks_but_never_its_first_column() -> None:
    """What one pastes next stays whole."""
    assert fit_widths([20, 50, 10], 60)[0] == 20
    assert sum(fit_widths([20, 50, 10], 60)) + 4 == 60
    assert clip("長い名前です", 7) == "長い名…"
    assert display_width("長い") == 4
    assert flat("a\n b\tc") == "a b c"


def test_output_without_utf8_does_not_fail() -> None:
    """A C locale gets a replacement, not a traceback."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Output(Mode.PIPE, out, io.StringIO()).emit(DOCUMENT)
    out.flush()
    assert b"????" in raw.getvalue()

"""docs/images/session.svg: a session on a terminal, recorded and drawn as a moving picture.

    python -m scripts.record_session         # make pictures

The commands run here, offline, in an empty home, with the bundled demo model on the embedded
engine. The picture has no script and loads nothing; it stands still for readers who prefer that.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from scripts.build_transcript import on_terminal, readable

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "session.svg"
WIDTH = 80
SESSION = (
    "plan qwen3-32b --gpu 'RTX 4090'",
    "deploy demo --port 41980",
    "chat demo 'What does exit code 3 mean?' --temperature 0",
    "list",
    "remove demo --yes",
)
ROWS, LINE_PX, CELL_PX, EDGE_PX = 26, 19, 8.43, 16
# Seconds: a command is read, a line of output appears, the end stays.
TYPED_S, LINE_S, END_S = 1.4, 0.07, 6.0
_OTHER_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")
_SPINNER = re.compile(r"\s*[\u2800-\u28ff]")
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
_CLASSES = {
    "1": "b", "2": "d", "31": "r", "32": "g", "33": "y", "34": "u", "35": "m", "36": "c",
}  # fmt: skip
_STYLE = """\
text {
  font: 14px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #d8dee9; white-space: pre;
}
.b { font-weight: 700; } .d { fill: #8a94a6; } .p { fill: #7fd6a4; font-weight: 700; }
.r { fill: #ff8f85; } .g { fill: #7fd6a4; } .y { fill: #f0c674; }
.u { fill: #81b4f5; } .m { fill: #c9a0f0; } .c { fill: #77cfd6; }
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A line as SVG text, and when it appears, in seconds."""

    svg: str
    at_s: float


def record(session: Sequence[str]) -> list[Shown]:
    """Run the commands and lay their lines out in time."""
    lines: list[Shown] = []
    at = 0.6
    with tempfile.TemporaryDirectory(prefix="modelscan-") as name:
        folder = Path(name)
        for command in session:
            lines.append(Shown(f'<tspan class="p">$</tspan> modelscan {escape(command)}', at))
            at += TYPED_S
            for line in _lines(command, folder):
                lines.append(Shown(line, at))
                at += LINE_S
            at += TYPED_S
    return lines


def _lines(command: str, folder: Path) -> Iterator[str]:
    written = _OTHER_ESCAPES.sub("", on_terminal(command, folder, WIDTH))
    for line in readable(written, folder).rstrip("\n").split("\n"):
        if not _SPINNER.match(_COLOUR.sub("", line)):
            yield from _wrapped(line)


def _wrapped(line: str) -> Iterator[str]:
    """A line with its colours as spans; what is too long continues below, as on a terminal."""
    spans, classes, left = [], "", WIDTH
    for number, part in enumerate(_COLOUR.split(line)):
        if number % 2:
            classes = " ".join(_CLASSES[one] for one in part.split(";") if one in _CLASSES)
            continue
        while part:
            text = escape(part[:left])
            spans.append(f'<tspan class="{classes}">{text}</tspan>' if classes else text)
            part, left = part[left:], left - len(part[:left])
            if part:
                yield "".join(spans)
                spans, left = [], WIDTH
    yield "".join(spans)


def drawn(lines: Sequence[Shown]) -> str:
    """The picture: all lines in one sheet, which moves up; a cover over those yet to appear."""
    whole_s = lines[-1].at_s + END_S
    width, height = WIDTH * CELL_PX + 2 * EDGE_PX, ROWS * LINE_PX + 2 * EDGE_PX
    rows = "\n".join(
        f'<text x="{EDGE_PX}" y="{14 + number * LINE_PX}">{line.svg}</text>'
        for number, line in enumerate(lines)
    )
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        'aria-label="A session: plan a model, deploy the demo model, talk to it, remove it">',
        f"<style>\n{_STYLE}{_moves(lines, whole_s)}</style>",
        f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#12161c"/>',
        f'<svg y="{EDGE_PX}" width="{width:.0f}" height="{ROWS * LINE_PX}"><g class="sheet">',
        rows,
        f'<rect class="cover" width="{width:.0f}" height="{(len(lines) + ROWS) * LINE_PX}" '
        'fill="#12161c"/>',
        "</g></svg>\n</svg>\n",
    ))  # fmt: skip


def _moves(lines: Sequence[Shown], whole_s: float) -> str:
    """Two animations in steps: where the sheet is, and where the cover begins."""
    sheet, cover = ["0%{transform:translateY(0)}"], ["0%{transform:translateY(0)}"]
    for number, line in enumerate(lines, 1):
        at = f"{100 * line.at_s / whole_s:.2f}%"
        cover.append(f"{at}{{transform:translateY({number * LINE_PX}px)}}")
        if number > ROWS:
            sheet.append(f"{at}{{transform:translateY({(ROWS - number) * LINE_PX}px)}}")
    end = max(0, len(lines) - ROWS) * LINE_PX
    move = f"{whole_s:.1f}s step-end infinite"
    return (
        f"@keyframes sheet{{{''.join(sheet)}}}\n@keyframes cover{{{''.join(cover)}}}\n"
        f".sheet{{animation:sheet {move}}} .cover{{animation:cover {move}}}\n"
        "@media (prefers-reduced-motion: reduce){"
        f".sheet{{animation:none;transform:translateY(-{end}px)}} .cover{{display:none}}}}\n"
    )


def main() -> int:
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(drawn(record(SESSION)), encoding="utf-8")
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

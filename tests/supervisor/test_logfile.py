"""The log stays bounded, keeps the newest lines whole, and can be followed across a rotation."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.supervisor.logfile import (
    RotatingLog,
    current_text,
    follow,
    mark_of,
    older,
    read_text,
    tail,
)

LIMIT = 200


@settings(deadline=None, max_examples=60)
@given(lines=st.lists(st.integers(0, 60), max_size=60), cut=st.integers(1, 90))
def test_what_is_kept_is_the_end_of_what_was_written(
    lines: list[int], cut: int, tmp_path_factory: object
) -> None:
    """Written in arbitrary pieces; no line is torn; at most twice the limit is kept."""
    file = tmp_path_factory.mktemp("log") / "engine.log"  # type: ignore[attr-defined]
    text = "".join(f"{number}:{'x' * length}\n" for number, length in enumerate(lines))
    log = RotatingLog(file, LIMIT)
    data = text.encode()
    for start in range(0, len(data), cut):
        log.write(data[start : start + cut])
    log.close()
    kept = read_text(file)
    assert text.endswith(kept)
    assert len(kept) <= 2 * (LIMIT + 90)
    assert not kept or text[: -len(kept)].endswith("\n") or kept == text
    assert len(kept) >= min(len(text), LIMIT)


def test_each_start_begins_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    for run in ("first", "second"):
        log = RotatingLog(file, LIMIT)
        log.write(f"{run}\n".encode())
        log.close()
    assert current_text(file) == "second\n"
    assert older(file).read_text() == "first\n"
    assert tail(file, None) == ["first", "second"]
    assert tail(file, 1) == ["second"]


def test_a_restart_in_the_same_run_begins_anew(tmp_path: Path) -> None:
    """An engine that its supervisor starts again: the figures are those of the last start."""
    file = tmp_path / "engine.log"
    log = RotatingLog(file, LIMIT)
    log.write(b"of the engine that crashed\n")
    log.begin()
    log.write(b"weights 1 MiB\n")
    assert current_text(file) == "weights 1 MiB\n"
    assert "crashed" in read_text(file)


def test_the_beginning_of_a_start_is_found_after_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    log = RotatingLog(file, LIMIT)
    log.write(b"old\n" * 10)
    log.begin()
    log.write(b"weights 1 MiB\n" + b"x" * 180 + b"\nlast\n")
    assert older(file).exists()
    assert current_text(file).startswith("weights 1 MiB\n")
    assert current_text(file).endswith("last\n")
    for _ in range(3):
        log.write(b"y" * 150 + b"\n")
    assert "old" not in current_text(file)
    assert current_text(file).endswith("y\n")


def test_a_broken_mark_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    log = RotatingLog(file, LIMIT)
    log.write(b"text\n")
    for text in ("", "[]", '{"rotated": 1}', '{"rotated": false, "offset": "x"}'):
        mark_of(file).write_text(text)
        assert current_text(file) == "text\n"


def test_a_log_that_cannot_be_written_does_not_stop_the_engine(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "missing" / "engine.log", LIMIT)
    log.write(b"lost\n" * 100)
    log.close()


def test_following_sees_every_line_across_rotations_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    wanted = [f"line {number}" for number in range(300)]
    done = threading.Event()

    def write() -> None:
        log = RotatingLog(file, 2000)
        for line in wanted:
            log.write(f"{line}\n".encode())
            time.sleep(0.0005)
        log.close()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = list(follow(file, lambda: not done.is_set(), poll_s=0.005))
    writer.join()
    assert seen == wanted


def test_following_starts_with_the_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_text("a\nb\nc")
    assert list(follow(file, lambda: False, count=1)) == ["b", "c"]
    assert list(follow(tmp_path / "none", lambda: False)) == []

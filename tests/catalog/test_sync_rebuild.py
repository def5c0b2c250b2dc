"""When the index is made again without asking anybody: overlays, upgrades, damage."""

from __future__ import annotations

import pytest
from support.catalog_world import models

from modelscan.catalog.index import publish
from modelscan.catalog.index.current import open_index
from modelscan.catalog.index.layout import stamp_file, synced_index
from modelscan.core.errors import ModelscanError
from modelscan.state.paths import paths

pytest_plugins = ["support.sync_fixtures"]


def test_overlay_wins_and_inherits(world, sync):
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        '[models."alibaba/qwen3-1b"]\nlimit = { context = 65536 }\n'
        '[models."me/bot"]\nbase_model = "alibaba/qwen3-1b"\nbase_model_omit = ["tool_call"]\n'
        'license = "mit"\n'
        '[models."me/bot-2"]\nbase_model = "me/bot"\n'
    )
    sync()
    found = models()
    changed, bot, second = found["alibaba/qwen3-1b"], found["me/bot"], found["me/bot-2"]
    origin = changed.provenance["limits.context_tokens"]
    assert (changed.limits.context_tokens, origin.source) == (65536, "user")
    assert ("models.dev", 32768) in origin.others
    assert (bot.license, bot.limits.context_tokens) == ("mit", 65536)
    assert bot.capabilities.tools is None
    assert bot.provenance["limits.context_tokens"].source == "base_model alibaba/qwen3-1b"
    assert (second.license, second.limits.context_tokens) == ("mit", 65536)
    assert second.capabilities.tools is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[models."a/b"]\nbase_model = "no/such"', "which is not in the catalog"),
        ('[models."a/b"]\nbase_model = "c/d"\n[models."c/d"]\nbase_model = "a/b"', "form a cycle"),
    ],
)
def test_impossible_bases_are_refused_and_the_index_stays(world, sync, run_in_process, text, words):
    sync()
    before = synced_index(paths()).read_bytes()
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(text)
    done = run_in_process("catalog", "sync")
    assert done.code == 2 and words in done.err
    assert synced_index(paths()).read_bytes() == before


def test_a_changed_overlay_is_noticed(world, sync):
    assert not publish.overlay_changed(paths())
    sync()
    assert not publish.overlay_changed(paths())
    folder = paths().overlay_dir
    folder.mkdir(parents=True)
    file = folder / "mine.toml"
    file.write_text('[models."alibaba/qwen3-1b"]\nlimit = { context = 9 }\n')
    assert publish.overlay_changed(paths())
    world.log.clear()
    publish.refresh_overlay(paths())
    assert models()["alibaba/qwen3-1b"].limits.context_tokens == 9
    assert not publish.overlay_changed(paths()) and world.log == []


def test_another_release_makes_the_index_again(world, sync, run_in_process):
    sync()
    index = synced_index(paths())
    stamp = stamp_file(paths())
    before = models()
    stamp.write_text("3 of another release")
    index.write_bytes(b"an index of another form")
    world.log.clear()
    open_index(paths()).close()
    assert models() == before and world.log == []
    written = index.stat().st_mtime_ns
    open_index(paths()).close()
    assert index.stat().st_mtime_ns == written


def test_an_index_that_cannot_be_made_again_is_tried_once(world, sync, monkeypatch):
    sync()
    stamp_file(paths()).write_text("another release")
    calls = []

    def fail(*_):
        calls.append(1)
        raise ModelscanError("no")

    monkeypatch.setattr(publish, "publish", fail)
    for _ in range(2):
        open_index(paths()).close()
    assert calls == [1]


def test_damaged_files_are_as_good_as_none(world, sync):
    sync()
    for file in publish.snapshots_dir(paths()).iterdir():
        file.write_bytes(b"\x1f\x8bdamaged")
    (publish.snapshots_dir(paths()).parent / "failures.json").write_text("[")
    _, rows = sync()
    assert rows["models.dev"]["result"] == "updated"

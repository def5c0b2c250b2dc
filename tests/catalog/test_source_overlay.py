"""The user's own files: fields, inheritance, and mistakes that are named."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.json_values import JSON

from modelscan.catalog.records import USER, dump, load
from modelscan.catalog.sources import overlay
from modelscan.core.errors import UsageError

EXAMPLE = Path(__file__).parents[2] / "examples/overlay.toml"

YAML = """
models:
  acme/tiny:
    limit: {context: 65536, output: 0}
    tool_call: true
    release_date: 2025-04-28
    cost: {input: 0.1, output: 0.2}
"""


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_no_folder_is_an_empty_answer(tmp_path):
    read = overlay.read(tmp_path / "none")
    assert read.snapshot.records == () and read.snapshot.retrieved_at is None


def test_example(tmp_path):
    read = overlay.read(write(tmp_path / "catalogs", "mine.toml", EXAMPLE.read_text()))
    changed, bot, embedder = sorted(read.snapshot.records, key=lambda r: r.key)
    assert read.warnings == () and read.snapshot.source == USER
    assert changed.facts == {"limits.context_tokens": 32768, "tags": ("tested-here",)}
    assert (bot.base, bot.repos) == ("alibaba/qwen3-8b", ("our-lab/support-bot-8b",))
    assert bot.facts["base_model_omit"] == ("benchmarks", "knowledge")
    assert bot.aliases == ("support-bot",)
    assert (embedder.facts["task"], embedder.facts["parameters"]) == ("embedding", 22_000_000)
    assert {r.kind for r in read.snapshot.records} == {"overlay"}
    assert load(dump(read.snapshot)) == read.snapshot or len(read.snapshot.records) == 3


def test_yaml_and_its_dates(tmp_path):
    read = overlay.read(write(tmp_path / "c", "mine.yaml", YAML))
    (record,) = read.snapshot.records
    assert record.canonical == "acme/tiny"
    assert record.facts == {
        "limits.context_tokens": 65536, "capabilities.tools": True, "release_date": "2025-04-28",
    }  # fmt: skip
    (offering,) = record.offerings
    assert (offering.provider, offering.pricing.output_usd_per_mtok) == (USER, 0.2)


def test_one_model_in_a_file(tmp_path):
    text = 'id = "Acme/Tiny"\nbase_model = "acme/tiny"\n[limit]\ncontext = 8\n'
    (record,) = overlay.read(write(tmp_path / "c", "a.toml", text)).snapshot.records
    assert (record.key, record.base) == ("acme/tiny", None)  # it cannot inherit from itself


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "= 3", "not valid TOML"),
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.yaml", "- 1", "must be a table"),
        ("a.yaml", "models: {a/b: {name: &n [*n]}}", "contains itself"),
        ("a.yaml", "models: {a/b: {name: x, name: y}}", "occurs twice"),
        ("a.yaml", 'models: {a/b: {name: "\\ud800", license:\t"x"}}', "line 1"),
        ("a.toml", "x = " + "9" * 5000, "not valid TOML"),
        ("a.yaml", "models: {a/b: {2: x, name: [1]}}", "is not a str"),
        ("a.yaml", "x: !!bool y", "not valid YAML"),
        ("a.toml", "x = 1", "neither a"),
        ("a.toml", '[models."no-slash"]\nname = "x"', "not a model"),
        ("a.toml", '[models]\n"a/b" = 3', "not a model"),
        ("a.toml", '[models."a/b"]\ntask = "chatting"', "not one of chat"),
        ("a.toml", '[models."a/b"]\ntool_call = "yes"', "tool_call = 'yes' is not true"),
        ("a.toml", '[models."a/b"]\nlimit = 3', "limit = 3 is not a table"),
        ("a.toml", '[models."a/b"]\nlimit = {context = "lots"}', "limit.context = 'lots' is not"),
        ("a.toml", '[models."a/b"]\ncost = {input = -1}', "cost.input = -1 is not a number"),
        ("a.toml", '[models."a/b"]\nmodalities = {input = "text"}', "modalities.input = 'text'"),
        ("a.toml", '[models."a/b"]\nmodalities = {output = [1]}', "modalities.output = [1] is not"),
        ("a.toml", '[models."a/b"]\nparameters = "8B"', "parameters = '8B' is not a whole"),
        ("a.toml", '[models."a/b"]\ntags = "x"', "tags = 'x' is not a list of texts"),
        ("a.toml", '[models."a/b"]\nrelease_date = 2025', "release_date = 2025 is not a text"),
    ],
)
def test_mistakes_name_the_file(tmp_path, name, text, words):
    folder = write(tmp_path / "c", name, text)
    write(tmp_path / "c", "good.yaml", YAML)
    read = overlay.read(folder)
    assert words in read.snapshot.error and str(folder / name) in read.snapshot.error
    assert read.warnings == (read.snapshot.error,)
    assert [r.key for r in read.snapshot.records] == ["acme/tiny"], "the other file counts"


def test_a_wrong_value_skips_its_model_and_names_every_mistake(tmp_path):
    """The other models of the file count."""
    text = '[models."a/b"]\ntool_call = 1\nlimit = {context = "lots", output = true}\n'
    folder = write(tmp_path / "c", "a.toml", text + '[models."c/d"]\nname = "Good"')
    read = overlay.read(folder)
    assert [r.key for r in read.snapshot.records] == ["c/d"]
    (warning,) = read.warnings
    assert all(word in warning for word in ("'a/b' is skipped", "tool_call", "limit.context",
                                            "limit.output"))  # fmt: skip


def test_a_model_may_stand_in_one_file_only(tmp_path):
    write(tmp_path / "c", "a.toml", '[models."a/b"]\nname = "x"')
    write(tmp_path / "c", "b.yaml", "models: {a/b: {name: y}}")
    read = overlay.read(tmp_path / "c")
    assert "b.yaml: 'a/b' is also in another overlay file" in read.snapshot.error
    assert [r.name for r in read.snapshot.records] == ["x"]
    text = '[models."a/b"]\nname = "x"\n[models."A/B"]\nname = "y"'
    read = overlay.read(write(tmp_path / "d", "a.toml", text))
    assert "in this file twice" in read.snapshot.error and not read.snapshot.records


def test_unknown_keys_are_named_with_the_nearest(tmp_path):
    folder = write(tmp_path / "c", "a.toml", '[models."a/b"]\ntoolcall = true')
    (warning,) = overlay.read(folder).warnings
    assert "'toolcall', did you mean 'tool_call'?" in warning


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(overlay.FIELDS)), JSON, max_size=6))
def test_any_entry_is_read_or_refused(entry):
    with contextlib.suppress(UsageError):
        overlay.parse({"models": {"a/b": entry}}, "file")

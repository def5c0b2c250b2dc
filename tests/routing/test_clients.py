"""Clients' configurations: merged beside a person's own entries and comments, and undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.routing.clients import files, merge
from modelscan.routing.clients.json_text import NotEditable, drop_value, put_value, read_json
from modelscan.routing.clients.registry import CLIENTS, client_of, warnings
from modelscan.routing.clients.types import OfferedRoute, ServedGateway

CODER = OfferedRoute("coder", "Qwen3-8B", 32768, 8192, tools=True, vision=False, reasoning=False)
OFFER = ServedGateway("http://127.0.0.1:8787", (CODER, OfferedRoute("small")), "MODELSCAN_API_KEY")
THEIRS = {
    "json": '// mine\n{\n\t"theme": "dark", // keep\n\t"provider": {\n\t\t"other": {"a": [1, 2,],},\n\t},\n\t"env": {},\n}\n',
    "toml": '# mine\nmodel = "gpt"\n\n[model_providers.other]\nname = "x" # keep\n',
    "yaml": '# mine\nname: "x"   # keep\nmodels:\n- name: other\n  model: a\n\nmodel: b\n',
}
LIST = "# mine\n- model_id: other\n  model_name: a  # keep\n"


def theirs(client: str, file: Any) -> str:
    return LIST if client == "llm" else THEIRS[file.format]


def written_files() -> list[Any]:
    return [
        pytest.param(name, file, id=f"{name}-{file.format}")
        for name, client in CLIENTS.items()
        for file in client.files(OFFER)
        if file.path is not None
    ]


class TestEveryClient:
    @pytest.mark.parametrize("name", CLIENTS)
    def test_keys_are_references(self, name: str) -> None:
        whole = "".join(merge.fresh(file) for file in CLIENTS[name].files(OFFER))
        assert "coder" in whole or "aider" in name
        assert "None" not in whole
        assert "MODELSCAN_API_KEY" in whole or name in ("aider", "zed", "llm")
        without = ServedGateway(OFFER.base_url, OFFER.routes)
        assert "MODELSCAN_API_KEY" not in "".join(map(merge.fresh, CLIENTS[name].files(without)))

    @pytest.mark.parametrize(("name", "file"), written_files())
    def test_merged_beside_a_persons_own(self, name: str, file: Any) -> None:
        text = theirs(name, file)
        merged = merge.merged(text, file)
        for kept in ("mine", "keep", "other"):
            assert kept in merged or kept not in text
        before, after = merge.read(text, file), merge.read(merged, file)
        chosen = set(file.defaults) & set(before)
        assert all(after[key] == before[key] for key in chosen)
        assert merge.merged(merged, file) == merged
        assert merge.read(merge.dropped(merged, file), file).get("theme") == before.get("theme")

    @pytest.mark.parametrize(("name", "file"), written_files())
    @pytest.mark.parametrize("text", ["[", "5", "{,}", "a: b: c", "\x00", '"text"'])
    def test_a_file_that_cannot_be_edited(self, name: str, file: Any, text: str) -> None:
        with pytest.raises(NotEditable):
            merge.merged(text, file)


class TestOnDisk:
    @pytest.mark.parametrize("name", [n for n, c in CLIENTS.items() if c.files(OFFER)[0].path])
    @pytest.mark.parametrize("existing", [True, False])
    def test_undone_byte_for_byte(self, name: str, existing: bool, tmp_path: Path) -> None:
        client, environ = CLIENTS[name], {"HOME": str(tmp_path)}
        before: dict[Path, bytes | None] = {}
        for file in client.files(OFFER):
            path = files.place(file, environ)
            assert path is not None
            before[path] = None
            if existing:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(theirs(name, file).replace("\n", "\r\n").encode())
                before[path] = path.read_bytes()
        records = tmp_path / "records"
        for choose in (False, True):  # a second time changes nothing that undoing needs
            files.write(client, OFFER, records, environ, choose=choose)
        states = {one.state for one in files.undo(client, OFFER, records, environ)}
        assert states == {"restored" if existing else "removed"}
        assert {path: path.read_bytes() if path.exists() else None for path in before} == before

    def test_a_file_that_was_edited_since(self, tmp_path: Path) -> None:
        environ = {"XDG_CONFIG_HOME": str(tmp_path)}
        path = tmp_path / "opencode" / "opencode.json"
        path.parent.mkdir()
        path.write_text('{\n  "theme": "dark"\n}\n')
        records = tmp_path / "records"
        files.write(CLIENTS["opencode"], OFFER, records, environ, choose=False)
        path.write_text(path.read_text().replace('"dark"', '"light" /* new */'))
        (one,) = files.undo(CLIENTS["opencode"], OFFER, records, environ)
        assert one.state == "changed"
        assert path.read_text() == '{\n  "theme": "light" /* new */\n}\n'

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        real = tmp_path / "dotfiles.json"
        real.write_text("{}")
        path = tmp_path / ".claude" / "settings.json"
        path.parent.mkdir()
        path.symlink_to(real)
        files.write(
            CLIENTS["claude-code"], OFFER, tmp_path / "r", {"HOME": str(tmp_path)}, choose=False
        )
        assert path.is_symlink()
        assert json.loads(real.read_text())["env"]["ANTHROPIC_MODEL"] == "coder"

    def test_nothing_is_changed_if_one_file_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / ".aider.model.metadata.json").write_text("[")
        with pytest.raises(UsageError):
            files.write(
                CLIENTS["aider"], OFFER, tmp_path / "r", {"HOME": str(tmp_path)}, choose=False
            )
        assert not (tmp_path / ".aider.conf.yml").exists()


class TestJsonText:
    @pytest.mark.parametrize(("text", "path", "value", "expected"), [
        ("", "a", 1, '{\n  "a": 1\n}\n'),
        ("{}", "a.b", 1, '{\n  "a": {\n    "b": 1\n  }\n}'),
        ('{"a": 1}', "b", 2, '{"a": 1, "b": 2}'),
        ('{\n  "a": 1 // one\n}', "b", 2, '{\n  "a": 1, // one\n  "b": 2\n}'),
        ('{\n  "a": 1, // one\n}', "b", 2, '{\n  "a": 1, // one\n  "b": 2\n}'),
        ('{\n  "a": {"x": "}"} /* } */\n}', "a.y", [], '{\n  "a": {"x": "}", "y": []} /* } */\n}'),
        ('{"a": 1, "a": 2}', "a", 3, '{"a": 1, "a": 3}'),
    ])  # fmt: skip
    def test_put(self, text: str, path: str, value: Any, expected: str) -> None:
        assert put_value(text, path.split("."), value) == expected

    @pytest.mark.parametrize(("text", "path", "expected"), [
        ('{\n  "a": 1,\n  "b": 2\n}', "a", '{\n  "b": 2\n}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "b", '{\n  "a": 1\n}'),
        ('{"a": {"b": {"c": 1}}, "d": 2}', "a.b.c", '{ "d": 2}'),
        ('{"a": 1}', "b", '{"a": 1}'),
    ])  # fmt: skip
    def test_drop(self, text: str, path: str, expected: str) -> None:
        assert drop_value(text, path.split(".")) == expected

    @given(
        st.recursive(
            st.integers() | st.text(max_size=4) | st.none(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc/*", max_size=3), inner, max_size=3),
            max_leaves=8,
        ),
        st.lists(st.text("abcd", min_size=1, max_size=2), min_size=1, max_size=3),
        st.sampled_from([None, 1, 2, "\t"]),
    )  # fmt: skip
    @settings(max_examples=300, deadline=None)
    def test_put_then_read(self, value: Any, path: list[str], indent: Any) -> None:
        document = {"own": value, "abc": {"x": 1}}
        text = json.dumps(document, indent=indent)
        edited = read_json(put_value(text, path, value))
        assert edited["own"] == value
        for key in path:
            edited = edited[key]
        assert edited == value


def test_names_and_warnings() -> None:
    assert client_of("Claude").name == "claude-code"
    with pytest.raises(UsageError) as unknown:
        client_of("opncode")
    assert unknown.value.hint == "modelscan connect opencode"
    small = OfferedRoute("gpt-6-sol", context_tokens=8192, tools=False)
    assert len(warnings(CLIENTS["codex"], small)) == 3
    assert warnings(CLIENTS["aider"], small) == []

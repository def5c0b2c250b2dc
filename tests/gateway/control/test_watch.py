"""What counts as a change of the files and keys."""

from __future__ import annotations

import os
from pathlib import Path

from modelscan.gateway.control.watch import KeyWatch, Watch
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore


def test_changes_of_keys_are_noticed_once(server_database: ServerDatabase) -> None:
    watch = KeyWatch(server_database)
    assert not watch.changed()
    KeyStore(server_database).create(None, KeyLimits())
    assert watch.changed()
    KeyStore(server_database).revoke("key-1")
    assert watch.changed()
    assert not watch.changed()


def test_changes_of_files_are_noticed_once(tmp_path: Path) -> None:
    file, secret = tmp_path / "routing.yaml", tmp_path / "secret"
    watch = Watch(file)
    reference = f"file:{secret}"
    assert not watch.changed([reference])
    file.write_text("version: 1\n")
    assert watch.changed([reference])
    assert not watch.changed([reference])
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_text("version: 2\n")  # as long, at the same time as far as the disk knows
    os.utime(file, ns=times)
    assert watch.changed([reference])
    secret.write_text("key")
    assert watch.changed([reference])
    assert not watch.changed([reference])
    new = tmp_path / "new"
    new.write_text("version: 2\n")
    new.replace(file)
    assert watch.changed([reference])
    os.utime(file, (1, 1))  # not changed for long: only its status is compared
    assert watch.changed([reference])
    assert not watch.changed([reference])
    file.unlink()
    assert watch.changed([reference])

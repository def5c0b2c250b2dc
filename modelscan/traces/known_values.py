"""Values of this machine that no export may contain: its secrets, its user's name and folder."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.routing.file import load
from modelscan.routing.presets import PRESETS, key_references
from modelscan.state.config import SETTINGS, Config
from modelscan.state.secrets import resolve
from modelscan.state.targets import load as load_targets

# Names that say nothing about a person, and would be removed from prose.
_COMMON = frozenset({
    "root", "admin", "user", "users", "ubuntu", "debian", "fedora", "centos", "runner", "test",
    "nobody", "guest", "home", "docker", "node", "app", "www", "git", "build", "builder", "ci",
    "dev", "local", "localhost", "host", "server", "model", "default", "main", "data", "python",
})  # fmt: skip


def known_values(config: Config) -> dict[str, str]:
    """Values and their kinds: secret, home, user, host."""
    values = {value: "secret" for value in _secrets(config) if len(value) >= 6}
    home = str(Path.home())
    if len(home) > 2 and home != "/root":
        values.setdefault(home, "home")
    for name, kind in ((_user(), "user"), *((host, "host") for host in _hosts())):
        if len(name) >= 3 and name.lower() not in _COMMON:
            values.setdefault(name, kind)
    return values


def _secrets(config: Config) -> Iterator[str]:
    for reference in _references(config):
        try:
            yield resolve(reference)
        except ModelscanError:  # a variable that is not set has no value to leak
            continue
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name):
            yield os.environ[name]


def _references(config: Config) -> Iterator[str]:
    """Every reference to a secret: of the routing file, of presets, of targets, of settings.

    Raises ModelscanError for a file that cannot be read: its secrets would not be known.
    """
    for route in load(config.routing_file).routes:
        yield from key_references(route)
    for preset in PRESETS.values():
        yield from (f"env:{name}" for name in preset.key_variables)
    yield from (one.api_key for one in load_targets(config.paths).items if one.api_key)
    for setting in SETTINGS:
        value = config.value(setting.key)
        if setting.kind == "secret" and isinstance(value, str):
            yield value


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry
        return ""


def _hosts() -> tuple[str, ...]:
    name = socket.gethostname()
    return tuple({name, name.partition(".")[0]})

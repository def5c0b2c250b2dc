"""Fixtures of promotions: models with known answers, and a promoter of a fresh home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.promotions import SAYS_YES
from support.talking_gguf import write_talking_adapter, write_talking_gguf

from modelscan.deploy.deployments import Deployments
from modelscan.promotion.run import Promoter
from modelscan.state.config import Config
from modelscan.state.server.audit import local_user
from modelscan.state.server.database import ServerDatabase, open_server


@pytest.fixture(scope="session")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model in two quantizations, a bad one, and two adapters."""
    folder = tmp_path_factory.mktemp("talking")
    write_talking_gguf(folder / "base.gguf", "yes")
    write_talking_gguf(folder / "good-q8_0.gguf", "yes", quantization="Q8_0")
    write_talking_gguf(folder / "good-q4_0.gguf", "yes", quantization="Q4_0")
    write_talking_gguf(folder / "bad-q8_0.gguf", "no", quantization="Q8_0")
    write_talking_adapter(folder / "worse.gguf", "yes", "no")
    write_talking_adapter(folder / "same.gguf", "yes", "yes")
    (folder / "says-yes.yaml").write_text(SAYS_YES)
    return folder


@pytest.fixture
def database(config: Config) -> Iterator[ServerDatabase]:
    with open_server(config) as opened:
        yield opened


@pytest.fixture
def promoter(config: Config, database: ServerDatabase) -> Promoter:
    return Promoter(config, database, Deployments(config), local_user(), lambda _: None)

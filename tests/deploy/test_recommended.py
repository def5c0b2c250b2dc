"""The makers' sampling values of a deployed model, from its own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.deployments import make, plan

from modelscan.deploy.recommended import recommended_sampling
from modelscan.state.config import Config, load


@pytest.fixture
def config() -> Config:
    return load({}, {})


def test_a_folders_generation_config_counts(tmp_path: Path, config: Config) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    values = {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "bos_token_id": 1}
    (tmp_path / "generation_config.json").write_text(json.dumps(values))
    local = plan(source="local_path", repo=str(tmp_path), files=(), format="safetensors")
    sampling = recommended_sampling(make("a", plan=local), config)
    assert sampling is not None
    assert sampling.body() == {"temperature": 0.6, "top_p": 0.95, "top_k": 20}
    for other in (make("a", plan=local, target="cluster"), make("a", plan=local, task="embedding")):
        assert recommended_sampling(other, config) is None


def test_files_that_are_gone_state_nothing(tmp_path: Path, config: Config) -> None:
    gone = plan(source="local_path", repo=str(tmp_path / "gone"), files=())
    assert recommended_sampling(make("a", plan=gone), config) is None
    assert recommended_sampling(make("a", plan=None), config) is None

"""MODEL as a name of the registry: which version it means, and that the weights are its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran

from modelscan.core.deployment_name import derive_name
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.workload import Workload
from modelscan.models.from_registry import is_registered
from modelscan.models.resolve import load_subject
from modelscan.state.config import load

Run = Callable[..., Ran]


@pytest.fixture
def weights(tmp_path: Path, run_in_process: Run) -> Path:
    """Two versions of ``acme/tiny``, of which champion is the first."""
    file = tmp_path / "tiny.gguf"
    shutil.copy(REPOSITORY / "examples" / "demo-model.gguf", file)
    for words in (
        f"add acme/tiny --from {file} --publish",
        f"version add acme/tiny --from {file} lineage.base=acme/tiny@1 --publish",
        "alias set acme/tiny champion 1",
        "tag add acme/tiny@1 vetted",
    ):
        assert run_in_process("registry", *words.split()).code == 0
    return file


@pytest.mark.parametrize(("text", "name"), [
    ("acme/tiny@champion", "acme/tiny@1"), ("acme/tiny@2", "acme/tiny@2"),
    ("acme/tiny", "acme/tiny@1"), ("registry:acme/tiny", "acme/tiny@1"),
])  # fmt: skip
def test_a_name_means_the_weights_of_one_version(weights: Path, text: str, name: str) -> None:
    model = load_subject(text, load({}), Workload())
    assert (model.id, model.registered) == (name, name)
    assert [one.variant.repo for one in model.candidates] == [str(weights)]


def test_other_weights_under_the_name_are_refused(weights: Path) -> None:
    with weights.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(ModelscanError) as error:
        load_subject("acme/tiny@1", load({}), Workload())
    assert error.value.code == "other_weights"
    weights.unlink()
    with pytest.raises(UsageError):
        load_subject("acme/tiny@1", load({}), Workload())


def test_the_catalogs_own_names_stay_the_catalogs(weights: Path, run_in_process: Run) -> None:
    """Unless they are written as the registry's; the answer names that spelling."""
    slug = "alibaba/qwen3-8b"
    run_in_process("registry", "add", slug, "--from", str(weights), "--publish")
    model = load_subject(slug, load({"offline": True}), Workload())
    assert model.registered is None
    assert any(f"registry:{slug}" in text for text in model.warnings)
    assert load_subject(f"registry:{slug}", load({}), Workload()).registered == f"{slug}@1"
    assert load_subject(f"{slug}@1", load({}), Workload()).registered == f"{slug}@1"


@pytest.mark.parametrize("text", ["acme/tiny@9", "acme/tiny@challenger", "acme/tny@1", "a b@c"])
def test_an_unknown_name_has_a_next_step(weights: Path, run_in_process: Run, text: str) -> None:
    ran = run_in_process("plan", text)
    assert ran.code == 2 and "hint: modelscan registry" in ran.err


def test_without_a_registry_a_version_is_unknown(run_in_process: Run, tmp_path: Path) -> None:
    ran = run_in_process("plan", "acme/tiny@1")
    assert ran.code == 2 and "the registry has no model 'acme/tiny'" in ran.err
    assert not (tmp_path / "modelscan-home" / "state" / "server.sqlite3").exists()


def test_weights_of_no_hub_are_not_fetched(run_in_process: Run) -> None:
    run_in_process("registry", "add", "acme/far")
    run_in_process(
        "registry", "version", "add", "acme/far", "weights_url=https://host/x.gguf", "--publish"
    )
    ran = run_in_process("deploy", "acme/far@1", "--dry-run", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "not_from_a_hub")


def test_a_deployment_names_its_version(weights: Path, run_in_process: Run) -> None:
    ran = run_in_process("deploy", "acme/tiny@champion", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    deployment = json.loads(ran.out)["deployment"]
    assert (deployment["name"], deployment["model"]) == ("tiny", "acme/tiny@1")


def test_names_of_the_registry_by_their_form() -> None:
    for text in ("acme/tiny@1", "tiny@champion", "registry:tiny", "a@sha256:" + "0" * 64):
        assert is_registered(text), text
    for text in ("hf:Qwen/Qwen3-8B@main", "qwen3-8b", "./a@b.gguf", "/models/x@1/y.gguf"):
        assert not is_registered(text), text
    assert derive_name("acme/tiny@2") == "tiny"

"""The create body: exactly the fields GPUStack knows, spelled its way, each option once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.deployments import plan

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.model import Spec
from modelscan.targets.gpustack.body import (
    Choices,
    adapter_entry,
    backend_parameters,
    check_env,
    create_body,
    identity,
    pairs,
    resolved_env,
    source_fields,
)
from modelscan.targets.gpustack.client import Dialect

NEW = Dialect("v2.3.0", "/v2", "/v1")
OLD = Dialect("0.7.1", "/v1", "/v1-openai")
# Every field the 2.3.0 server's ModelCreate has that we may send; it takes unknown ones silently.
KNOWN = {
    "name", "description", "replicas", "source", "huggingface_repo_id", "huggingface_filename",
    "model_scope_model_id", "model_scope_file_path", "local_path", "backend", "backend_version",
    "backend_parameters", "env", "categories", "restart_on_error", "placement_strategy",
    "worker_selector", "gpu_selector", "cluster_id", "enable_model_route", "image_name",
    "run_command", "lora_list", "speculative_config", "extended_kv_cache",
}  # fmt: skip


def vllm(**changes: object) -> object:
    values = {"backend": "vllm", "format": "safetensors", "source": "huggingface",
              "repo": "lab/model", "parameters": ("--max-model-len", "8192")}  # fmt: skip
    return plan(**{**values, **changes})


class TestBody:
    def test_modern(self) -> None:
        body = create_body("m", vllm(), NEW, Choices(), cluster_id=1)  # type: ignore[arg-type]
        assert body == {
            "name": "m", "replicas": 1, "source": "huggingface", "backend": "vLLM",
            "huggingface_repo_id": "lab/model", "backend_parameters": ["--max-model-len=8192"],
            "categories": ["llm"], "restart_on_error": True, "enable_model_route": True,
            "cluster_id": 1,
        }  # fmt: skip

    def test_old(self) -> None:
        body = create_body("m", vllm(), OLD, Choices(gpu_ids=("w:cuda:0",)), cluster_id=None)  # type: ignore[arg-type]
        assert body["backend"] == "vllm"
        assert body["gpu_selector"] == {"gpu_ids": ["w:cuda:0"]}
        assert not set(body) & {"cluster_id", "enable_model_route", "backend_version"}

    def test_everything(self) -> None:
        choices = Choices(
            replicas=2, gpu_ids=("w:cuda:0", "w:cuda:1", "v:cuda:0", "v:cuda:1"),
            gpus_per_replica=2,
            env={"A": "1"}, adapters=("lab/lora",), restart_on_error=False,
            extended_kv_cache={"enabled": True}, speculative_config={"algorithm": "ngram"},
            placement_strategy="binpack", backend_version="0.11.0", image_name="i", run_command="r",
        )  # fmt: skip
        body = create_body("m", vllm(source="modelscope"), NEW, choices, cluster_id=3)  # type: ignore[arg-type]
        assert set(body) <= KNOWN
        assert body["gpu_selector"]["gpus_per_replica"] == 2
        assert (body["source"], body["model_scope_model_id"]) == ("model_scope", "lab/model")
        assert body["lora_list"] == [
            {"lora_name": "lora", "lora_repo_name": "lab/lora", "source": "model_scope"}
        ]
        # The server's own default is false: what was asked for would do nothing.
        assert body["speculative_config"] == {"enabled": True, "algorithm": "ngram"}
        assert body["extended_kv_cache"] == {"enabled": True}

    def test_the_recipe_gives_way_to_the_plan(self) -> None:
        spec = Spec(
            mode="standard", quantization=None, backend="vLLM", source="huggingface",
            repo="lab/model", backend_parameters=("--max-model-len=1024", "--reasoning-parser=q"),
            env={"B": "2"}, backend_version="0.9.0",
        )  # fmt: skip
        body = create_body("m", vllm(env={"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}), NEW, Choices(),
                           cluster_id=1, spec=spec)  # type: ignore[arg-type]  # fmt: skip
        assert body["backend_parameters"] == ["--reasoning-parser=q", "--max-model-len=8192"]
        assert body["env"] == {"B": "2"}
        assert body["backend_version"] == "0.9.0"

    @pytest.mark.parametrize(
        ("text", "name", "repo", "source"),
        [
            ("lab/lora", "lora", "lab/lora", "huggingface"),
            ("mine=lab/lora", "mine", "lab/lora", "huggingface"),
            ("ms:lab/lora", "lora", "lab/lora", "model_scope"),
            ("a=hf:lab/lora", "a", "lab/lora", "huggingface"),
            ("/models/lora/", "lora", "/models/lora/", "local_path"),
        ],
    )
    def test_adapters(self, text: str, name: str, repo: str, source: str) -> None:
        entry = adapter_entry(text, "huggingface")
        assert (entry["lora_name"], entry["lora_repo_name"], entry["source"]) == (
            name, repo, source,
        )  # fmt: skip
        assert entry.get("local_path") == (repo if source == "local_path" else None)

    @pytest.mark.parametrize(
        "choice",
        [{"adapters": ("lab/lora",)}, {"speculative_config": {"algorithm": "ngram"}},
         {"extended_kv_cache": {"enabled": True}}, {"image_name": "i"}, {"run_command": "r"}],
    )  # fmt: skip
    def test_what_0_7_would_silently_ignore(self, choice: dict[str, object]) -> None:
        with pytest.raises(NotDeployableError, match="has no"):
            create_body("m", vllm(), OLD, Choices(**choice), cluster_id=None)  # type: ignore[arg-type]

    def test_llama_box(self) -> None:
        """The worker says the layers; flash attention is a switch there."""
        words = ("--ctx-size", "8192", "--parallel", "1", "--n-gpu-layers", "all", "--flash-attn",
                 "on", "--cache-type-k", "q8_0", "--embedding", "--pooling", "last")  # fmt: skip
        chosen = vllm(backend="llama.cpp", format="gguf", files=("m.gguf",), parameters=words)
        body = create_body("m", chosen, OLD, Choices(backend_version="v0.0.171"), cluster_id=None)  # type: ignore[arg-type]
        assert (body["backend"], body["huggingface_filename"]) == ("llama-box", "m.gguf")
        assert body["backend_version"] == "v0.0.171"
        assert body["backend_parameters"] == [
            "--ctx-size=8192", "--parallel=1", "--flash-attn", "--cache-type-k=q8_0",
        ]  # fmt: skip

    def test_a_gguf_names_its_file(self) -> None:
        chosen = vllm(format="gguf", files=("m-q4.gguf",))
        assert source_fields(chosen)["huggingface_filename"] == "m-q4.gguf"  # type: ignore[arg-type]

    @pytest.mark.parametrize(("backend", "dialect"), [("ollama", NEW), ("sglang", OLD)])
    def test_engines_it_does_not_have(self, backend: str, dialect: Dialect) -> None:
        with pytest.raises(NotDeployableError, match="does not run"):
            create_body("m", vllm(backend=backend), dialect, Choices(), cluster_id=1)  # type: ignore[arg-type]


class TestIdentity:
    @pytest.mark.parametrize(
        ("row", "wanted"),
        [
            ({"source": "local_path", "local_path": "/m"}, {"local_path": "/m"}),
            ({"source": "huggingface", "huggingface_repo_id": "a/b", "huggingface_filename": "c"},
             {"huggingface_repo_id": "a/b", "huggingface_filename": "c"}),
            ({"source": "model_scope", "model_scope_model_id": "a/b", "local_path": None},
             {"model_scope_model_id": "a/b"}),
        ],
    )  # fmt: skip
    def test_what_every_put_repeats(self, row: dict[str, str], wanted: dict[str, str]) -> None:
        assert identity({"name": "m", **row}) == {"name": "m", "source": row["source"], **wanted}


NAMES = st.from_regex(r"[a-z]+(-[a-z]+){0,2}", fullmatch=True)
VALUES = st.none() | st.from_regex(r"[a-z0-9.]{1,5}", fullmatch=True)
WORDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@settings(deadline=None, max_examples=150)
@given(recipe=WORDS, planned=WORDS, joined=st.booleans())
def test_each_option_once_and_the_plan_wins(
    recipe: list[tuple[str, str | None]], planned: list[tuple[str, str | None]], joined: bool
) -> None:
    def words(options: list[tuple[str, str | None]]) -> list[str]:
        if joined:
            return [f"--{k}" if v is None else f"--{k}={v}" for k, v in options]
        return [w for k, v in options for w in ([f"--{k}"] if v is None else [f"--{k}", v])]

    found = pairs(backend_parameters(words(recipe), words(planned)))
    assert dict(found) == {**dict(recipe), **dict(planned)}
    assert len(found) == len(dict(found))


class TestVariables:
    def test_a_literal_secret_is_refused(self) -> None:
        with pytest.raises(UsageError, match="HF_TOKEN"):
            check_env({"HF_TOKEN": "hf_literal"})

    def test_a_reference_is_followed_on_the_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MINE", "hf_secret")
        body = {"env": check_env({"HF_TOKEN": "env:MINE", "HF_ENDPOINT": "https://hub.lan"})}
        assert resolved_env(body)["env"] == {"HF_TOKEN": "hf_secret",
                                             "HF_ENDPOINT": "https://hub.lan"}  # fmt: skip
        assert resolved_env({"env": {"A": "1"}}) == {}

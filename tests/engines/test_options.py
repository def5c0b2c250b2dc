"""llama-server's options: read without the engine, applied to the real one."""

from __future__ import annotations

from typing import Any

import pytest
import xllamacpp

from modelscan.core.errors import UsageError
from modelscan.engines.llamacpp.option_words import parse
from modelscan.engines.llamacpp.options import ALIASES, MAX_DEVICES, OPTIONS
from modelscan.supervisor.embedded.params import apply


def applied(*words: str) -> Any:
    params = xllamacpp.CommonParams()
    apply(params, xllamacpp, parse(words))
    return params


def test_values_reach_the_engine() -> None:
    params = applied(
        "--model", "/m.gguf", "-c", "8192", "--parallel=4", "-ctk", "q8_0", "--flash-attn", "off",
        "--no-warmup", "--cache-ram", "0", "--alias", "a,b", "--host", "0.0.0.0", "--port", "9",
        "--rope-scale", "4", "--threads", "3", "--load-mode", "none", "--temp", "0.5",
    )  # fmt: skip
    assert params.model.path == "/m.gguf"
    assert (params.n_ctx, params.n_parallel, params.cache_ram_mib) == (8192, 4, 0)
    assert params.cache_type_k == xllamacpp.ggml_type.GGML_TYPE_Q8_0
    disabled = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    assert params.flash_attn_type == disabled
    assert params.warmup is False
    assert params.model_alias == {"a", "b"}
    assert (params.hostnames, params.port) == (["0.0.0.0"], 9)
    assert params.rope_freq_scale == pytest.approx(0.25)
    assert params.cpuparams.n_threads == 3
    assert params.load_mode == xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    assert params.sampling.temp == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "layers"), [("auto", -1), ("all", -2), ("0", 0), ("17", 17), ("-1", -1)]
)
def test_gpu_layers(text: str, layers: int) -> None:
    assert applied("-ngl", text).n_gpu_layers == layers


def test_modes_for_embedding_and_ranking() -> None:
    assert applied("--embeddings", "--pooling", "mean").embedding is True
    ranking = applied("--reranking")
    assert ranking.embedding is True
    assert ranking.pooling_type == xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def test_a_split_is_filled_up_to_the_length_the_binding_wants() -> None:
    split = applied("--tensor-split", "3,1").tensor_split
    assert (split[:3], len(split)) == ([3.0, 1.0, 0.0], MAX_DEVICES)


def test_adapters_add_up() -> None:
    adapters = applied("--lora", "/a.gguf", "--lora-scaled", "/b.gguf:0.5").lora_adapters
    assert [(one.path, one.scale) for one in adapters] == [("/a.gguf", 1.0), ("/b.gguf", 0.5)]


def test_a_draft_model_drafts() -> None:
    """The binding takes the file but drafts only where it is told how."""
    simple = applied("--model-draft", "/d.gguf", "--draft-max", "4", "-ngld", "0").speculative
    assert (simple.draft.mparams.path, simple.draft.n_max) == ("/d.gguf", 4)
    assert [kind.name for kind in simple.types] == ["COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE"]
    chosen = applied("-md", "/d.gguf", "--spec-type", "ngram-mod,draft-mtp").speculative
    assert [kind.name.rpartition("TYPE_")[2] for kind in chosen.types] == ["NGRAM_MOD", "DRAFT_MTP"]
    with pytest.raises(UsageError, match="'guess' is not a value"):
        parse(["--spec-type", "guess"])


def test_experts_on_the_cpu() -> None:
    overrides = applied("--n-cpu-moe", "2").tensor_buft_overrides
    assert overrides.count("=CPU") == 2
    assert r"blk\.1\." in overrides


def test_flags_take_a_switch_but_no_other_value() -> None:
    assert parse(["--swa-full=true", "--no-warmup=off", "--kv-unified", "true", "--jinja"]) == [
        ("swa-full", None), ("kv-unified", None), ("jinja", None),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="takes no value"):
        parse(["--swa-full=17"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ctx-siez", "1"], "no option '--ctx-siez'"),
        (["--ctx-size"], "needs a value"),
        (["--ctx-size", "many"], "'many' is not a value"),
        (["--cache-type-k", "q9_9"], "'q9_9' is not a value"),
        (["stray"], "no option 'stray'"),
    ],
)
def test_mistakes_are_found_before_anything_starts(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(words)
    assert caught.value.exit_code == 2


def test_a_mistyped_option_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["--ctx-siez", "1"])
    assert caught.value.hint == "--param ctx-size"


_SAMPLES = {
    "spec-type": "ngram-mod", "spec-draft-type-k": "f16", "spec-draft-type-v": "f16",
    "chat-template-kwargs": '{"enable_thinking": false}', "tensor-split": "1,1",
    "cache-type-k": "f16", "cache-type-v": "f16", "flash-attn": "on", "load-mode": "mmap",
    "rope-scaling": "yarn", "pooling": "cls", "attention": "causal", "reasoning": "auto",
    "reasoning-format": "none", "override-tensor": "exps=CPU", "numa": "distribute", "split-mode": "row", "fit": "off",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_of_the_table_is_one_of_the_engine(name: str) -> None:
    """An attribute that the binding dropped or renamed fails here, not on a user's machine."""
    option = OPTIONS[name]
    words = [f"--{name}"] if option.convert is None else [f"--{name}", _SAMPLES.get(name, "1")]
    params = applied(*words)
    if option.convert is None and option.attribute:
        assert getattr(params, option.attribute) == option.value


def test_aliases_name_options() -> None:
    assert set(ALIASES.values()) <= set(OPTIONS)
    assert not set(ALIASES) & set(OPTIONS)

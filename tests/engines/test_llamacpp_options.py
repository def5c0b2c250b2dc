"""llama.cpp's options that move memory: tensors elsewhere, projectors, drafting contexts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB, MIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.engines.llamacpp.dry_run import arguments
from modelscan.engines.llamacpp.prediction_blocks import with_prediction_blocks
from modelscan.engines.llamacpp.settings import from_workload
from modelscan.formats.gguf import parse_header
from modelscan.memory.shape import from_config, from_gguf
from modelscan.supervisor.dry_run.run import MODULE
from scripts.sparse_families import qwen_hybrid
from scripts.sparse_gguf import header, write
from scripts.sparse_models import MODELS
from scripts.sparse_pieces import Attn, Sketch, attend, feed, norms

HOST = Host(cpus=16, memory_bytes=256 * GIB, free_bytes=200 * GIB)
HIDDEN, WIDTH = 2048, 6144
ATTENTION = Attn(16, 2, 256, query=2, norm="head")


def hybrid() -> Sketch:
    return qwen_hybrid("h", "qwen35", 8, HIDDEN, ATTENTION, WIDTH, 32000, 16, 32)


def predicting() -> Sketch:
    """The hybrid with one multi-token-prediction block."""
    sketch = hybrid()
    sketch.keys.update({"block_count": 9, "nextn_predict_layers": 1})
    p = "blk.8."
    norms(sketch, p, HIDDEN, ("attn_norm", "post_attention_norm"))
    attend(sketch, p, HIDDEN, ATTENTION)
    feed(sketch, p, HIDDEN, WIDTH)
    sketch.weight(p + "nextn.eh_proj", 2 * HIDDEN, HIDDEN)
    for name in ("enorm", "hnorm", "shared_head_norm"):
        sketch.weight(f"{p}nextn.{name}", HIDDEN)
    return sketch


def shape_of(sketch: Sketch) -> ModelShape:
    head, _, padded = header(sketch)
    return from_gguf(parse_header(lambda o, n: head[o : o + n], len(head) + padded))


@cache
def shape(name: str) -> ModelShape:
    return shape_of(MODELS[name]())


def cards(*free_gib: int) -> Inventory:
    gpus = tuple(
        Gpu(i, f"card {i}", "nvidia", (free + 1) * GIB, free * GIB, "simulated")
        for i, free in enumerate(free_gib)
    )
    return Inventory(gpus, HOST, source="simulated")


def found(model: ModelShape, inventory: Inventory | None, *options: str, **kw: object) -> Estimate:
    pairs = (text.partition("=") for text in options)
    parameters = tuple((name, value if equals else None) for name, equals, value in pairs)
    workload = Workload(context_tokens=8192, parameters=parameters, **kw)  # type: ignore[arg-type]
    return estimate(model, workload, inventory, model="m", backend="llama.cpp")


def test_overridden_tensors_are_counted_where_they_are_put():
    model = shape("qwen3-235b-a22b")
    plain = found(model, cards(140))
    experts = found(model, cards(140), "cpu-moe")
    same = found(model, cards(140), "ot=exps=CPU")
    assert same.per_gpu[0].parts == experts.per_gpu[0].parts
    assert same.total_bytes == experts.total_bytes
    one = found(model, cards(140), r"override-tensor=blk\.3\.ffn_up_exps=CPU,nothing=CPU")
    moved = next(t.size_bytes for t in model.tensors if t.name == "blk.3.ffn_up_exps.weight")
    weights = [e.per_gpu[0].parts.weights_bytes for e in (plain, one)]
    assert weights[0] - weights[1] == moved
    assert one.parts.weights_bytes == plain.parts.weights_bytes


def test_tensors_can_be_put_on_another_gpu_and_the_first_pattern_decides():
    model = shape("llama-3.2-3b")
    split = found(model, cards(8, 8), r"ot=blk\.0\.=CUDA1,blk\.0\.=CPU", gpus=(0, 1))
    plain = found(model, cards(8, 8), gpus=(0, 1))
    block = model.weights.layer_bytes[0]
    gained = [
        new.parts.weights_bytes - old.parts.weights_bytes
        for new, old in zip(split.per_gpu, plain.per_gpu, strict=True)
    ]
    assert gained == [-block, block]


@pytest.mark.parametrize("value", ["exps", "(=CPU", "exps=CUDA7", "a=b=c=", "=9"])
def test_overrides_that_llama_cpp_does_not_take_are_refused(value: str):
    with pytest.raises(UsageError) as error:
        found(shape("llama-3.2-3b"), cards(24), f"override-tensor={value}")
    assert error.value.hint


def test_a_projector_is_where_the_options_put_it():
    base = shape("llama-3.2-3b")
    model = replace(base, weights=replace(base.weights, vision_bytes=GIB))
    assert found(model, cards(24), "no-mmproj").parts.vision_bytes == 0
    on_host = found(model, cards(24), "no-mmproj-offload")
    assert on_host.host is not None
    assert on_host.host.parts.vision_bytes == GIB
    assert on_host.per_gpu[0].parts.vision_bytes == 0
    again = found(model, cards(24), "no-mmproj-offload", "mmproj-offload")
    assert again.per_gpu[0].parts.vision_bytes == GIB


def test_the_prompt_cache_is_host_memory():
    result = found(shape("llama-3.2-3b"), cards(24), "cram=2048")
    assert result.host is not None
    assert result.host.parts.other_bytes == 2 * GIB


def test_a_draft_file_is_a_model_of_its_own_and_one_that_is_missing_is_named():
    model, draft = shape("llama-3.2-3b"), shape("qwen2-0.5b")
    both = found(replace(model, draft=draft), cards(24), "md=x.gguf", "ctkd=q8_0", "ctvd=q8_0")
    alone = found(model, cards(24))
    small = found(draft, cards(24), kv_cache_k="q8_0", kv_cache_v="q8_0")
    for part in ("weights_bytes", "kv_cache_bytes", "compute_bytes", "output_bytes"):
        sizes = [getattr(each.parts, part) for each in (both, alone, small)]
        assert sizes[0] == sizes[1] + sizes[2], part
    missing = found(model, cards(24), "model-draft=/nowhere.gguf")
    assert any("draft" in warning for warning in missing.warnings)
    assert missing.parts == alone.parts


def test_a_file_without_prediction_blocks_cannot_predict():
    with pytest.raises(NotDeployableError, match="no multi-token-prediction blocks"):
        found(shape("llama-3.2-3b"), None, "spec-type=draft-mtp")


@pytest.mark.parametrize(
    "options",
    [("parallel=2", "spec-draft-n-max=1"),
     ("kv-unified", "parallel=2", "spec-draft-type-k=q8_0")],
)  # fmt: skip
def test_prediction_blocks_cost_what_llama_cpp_says(options: tuple[str, ...], tmp_path: Path):
    pytest.importorskip("xllamacpp")
    path = tmp_path / "model.gguf"
    write(predicting(), path)
    model = shape_of(predicting())
    parts = found(model, None, "spec-type=draft-mtp", *options).parts
    assert parts.weights_bytes > found(model, None, *options).parts.weights_bytes
    weights, contexts = engine(path, model, options)
    assert abs(parts.weights_bytes - weights) <= 2 * MIB
    assert abs(parts.kv_cache_bytes - sum(c["llama_kv_cache"] for c in contexts)) < MIB
    assert abs(parts.recurrent_state_bytes - contexts[0]["llama_memory_recurrent"]) < MIB
    compute = sum(c["compute"] for c in contexts)
    assert abs(parts.compute_bytes / compute - 1) < 0.1


_FIGURE = re.compile(r"(llama_kv_cache|llama_memory_recurrent): size\s*=\s*([\d.]+) MiB")
_COMPUTE = re.compile(r"CPU compute buffer size\s*=\s*([\d.]+) MiB")
_WEIGHTS = re.compile(r"Host\s*\|\s*\d+ =\s*(\d+) \+")


def engine(
    path: Path, model: ModelShape, options: tuple[str, ...]
) -> tuple[int, list[dict[str, float]]]:
    """Bytes of the weights, and of each context, from the engine's own dry run."""
    pairs = [text.partition("=") for text in options]
    workload = Workload(
        context_tokens=8192, parameters=tuple((n, v if e else None) for n, e, v in pairs)
    )
    words = [*arguments(from_workload(workload, model.architecture)), "--spec-type", "draft-mtp"]
    for name, _, value in pairs:
        words += [f"--{name}", value] if name.startswith("spec-") else []
    command = [sys.executable, "-m", MODULE, str(os.getpid()), "--model", str(path), *words]
    log = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        for line in child.stdout:  # it ends by itself only on its alarm
            log += line.decode(errors="replace")
            if "adding speculative implementation" in log or " E " in log:
                break
        child.kill()
    weights = int(_WEIGHTS.findall(log)[0]) * MIB
    contexts = []
    for text in log.split("constructing llama_context")[-2:]:
        figures = {name: float(size) * MIB for name, size in _FIGURE.findall(text)}
        contexts.append({**figures, "compute": float(_COMPUTE.findall(text)[-1]) * MIB})
    return weights, contexts


HYBRID = {
    "architectures": ["Qwen3_5ForCausalLM"], "model_type": "qwen3_5_text", "hidden_size": 1024,
    "intermediate_size": 3072, "num_hidden_layers": 8, "num_attention_heads": 8,
    "num_key_value_heads": 2, "head_dim": 128, "vocab_size": 32000, "tie_word_embeddings": False,
    "max_position_embeddings": 32768, "mtp_num_hidden_layers": 1, "full_attention_interval": 4,
    "linear_num_key_heads": 8, "linear_num_value_heads": 16, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "dtype": "bfloat16",
}  # fmt: skip


def test_prediction_blocks_of_a_file_that_is_not_here_are_named_with_their_size() -> None:
    model = from_config(HYBRID, quantization="Q8_0", format="gguf")
    plain = found(model, cards(24))
    drafting = found(model, cards(24), "spec-type=draft-mtp", "spec-draft-n-max=1")
    assert drafting.parts.weights_bytes == plain.parts.weights_bytes
    assert any("prediction blocks, about" in warning for warning in drafting.warnings)
    whole = with_prediction_blocks(model)
    counted = found(whole, cards(24), "spec-type=draft-mtp", "spec-draft-n-max=1")
    assert counted.parts.weights_bytes > plain.parts.weights_bytes
    assert not any("prediction blocks" in warning for warning in counted.warnings)


def test_a_drafting_context_keeps_as_many_inputs_as_its_model_s_pipeline() -> None:
    model = with_prediction_blocks(from_config(HYBRID, quantization="Q8_0", format="gguf"))
    draft = ("spec-type=draft-mtp", "spec-draft-n-max=1", "tensor-split=1,1")
    alone, both = found(model, cards(24), *draft[:2]), found(model, cards(24, 24), *draft)
    assert alone.host is not None
    assert both.host is not None
    assert both.host.parts.compute_bytes > 3.5 * alone.host.parts.compute_bytes

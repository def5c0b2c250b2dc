"""A small converter from safetensors to GGUF, in the place of llama.cpp's, which no package has.

python hf_to_gguf.py FOLDER --outfile FILE [--outtype bf16]: a llama model of Hugging Face with a
byte-level tokenizer without merges, as ``tiny_hf`` writes it; what llm-compressor quantized is
read as transformers decompresses it. With ``--base FOLDER``, FOLDER is a LoRA adapter of PEFT.
It runs in the environment of the recipes: torch, transformers, compressed-tensors, gguf.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy
import torch

NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip
OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(module: str) -> str:
    """``model.layers.0.self_attn.q_proj`` -> ``blk.0.attn_q``."""
    if module in OUTER:
        return OUTER[module]
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}"


def placed(module: str, rows: numpy.ndarray, config: dict[str, Any]) -> numpy.ndarray:
    """Rows of queries and keys in the order of llama.cpp's rotary embedding."""
    if not module.endswith(("q_proj", "k_proj")):
        return rows
    heads = config["num_attention_heads" if module.endswith("q_proj") else "num_key_value_heads"]
    pairs = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def tensors(folder: Path, config: dict[str, Any]) -> Iterator[tuple[str, numpy.ndarray]]:
    """Every weight of a model as float32, by its name in GGUF."""
    from transformers import AutoModelForCausalLM

    more: dict[str, Any] = {}
    if "quantization_config" in config:
        from transformers import CompressedTensorsConfig

        more["quantization_config"] = CompressedTensorsConfig(run_compressed=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more)
    for name, values in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        if kind != "weight":
            continue  # scales of what is decompressed already
        data = values.to(torch.float32).numpy()
        yield f"{gguf_name(module)}.weight", placed(module, data, config)


def write_model(folder: Path, target: Path, kind: gguf.GGMLQuantizationType) -> None:
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_name(folder.name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    add_tokenizer(writer, folder, config["vocab_size"])
    for name, data in tensors(folder, config):
        if data.ndim == 1:
            writer.add_tensor(name, data)
        else:
            writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
    finish(writer)


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, size: int) -> None:
    """One token per byte, the special ones, and unused ones up to the size of the vocabulary."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    added = {one["id"]: one["content"] for one in tokenizer["added_tokens"]}
    letters = {number: letter for letter, number in tokenizer["model"]["vocab"].items()}
    names = [letters.get(n) or added.get(n) or f"<unused{n}>" for n in range(size)]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    kinds = [normal if n in letters and n not in added else control for n in range(size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{letters[0]} {letters[1]}"])  # an empty list is none
    written = json.loads((folder / "tokenizer_config.json").read_text())
    for add, key in (
        (writer.add_bos_token_id, "bos_token"),
        (writer.add_eos_token_id, "eos_token"),
    ):
        add(next(number for number, text in added.items() if text == written[key]))
    writer.add_add_bos_token(False)
    template = folder / "chat_template.jinja"
    writer.add_chat_template(
        template.read_text() if template.is_file() else written["chat_template"]
    )


def write_adapter(folder: Path, base: Path, target: Path) -> None:
    from safetensors.numpy import load_file

    config = json.loads((base / "config.json").read_text())
    adapter = json.loads((folder / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(adapter["lora_alpha"]))
    for name, values in load_file(str(folder / "adapter_model.safetensors")).items():
        module, _, side = name.removeprefix("base_model.model.").partition(".lora_")
        data = numpy.ascontiguousarray(values, dtype=numpy.float32)
        if side.startswith("B"):
            data = numpy.ascontiguousarray(placed(module, data, config))
        writer.add_tensor(f"{gguf_name(module)}.weight.lora_{side[0].lower()}", data)
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--outfile", type=Path, required=True)
    parser.add_argument("--outtype", default="bf16")
    parser.add_argument("--base", type=Path)
    wish = parser.parse_args()
    if wish.base is not None:
        write_adapter(wish.folder, wish.base, wish.outfile)
    else:
        kind = getattr(gguf.GGMLQuantizationType, wish.outtype.upper())
        write_model(wish.folder, wish.outfile, kind)


if __name__ == "__main__":
    main()

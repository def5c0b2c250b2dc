"""Write the trained model as one GGUF file: q8_0 matrices, f32 norms, tokenizer, chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import gguf
import numpy as np
from model import Llama, Shape
from tokenizer import CHAT_TEMPLATE, END, PAD, SPECIAL, START, Vocabulary

Q8_0: Final = gguf.GGMLQuantizationType.Q8_0


def add_header(writer: gguf.GGUFWriter, shape: Shape, parameters: int) -> None:
    writer.add_type("model")
    writer.add_name("modelscan demo")
    writer.add_description("Answers questions about modelscan; trained from scratch.")
    writer.add_license("apache-2.0")
    writer.add_languages(["en"])
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.blocks)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_tokenizer(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([control if t in SPECIAL else normal for t in vocabulary.tokens])
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.tokens.index(START))
    writer.add_eos_token_id(vocabulary.tokens.index(END))
    writer.add_pad_token_id(vocabulary.tokens.index(PAD))
    writer.add_add_bos_token(False)  # the chat template writes START itself
    writer.add_chat_template(CHAT_TEMPLATE)


def add_tensors(writer: gguf.GGUFWriter, model: Llama) -> None:
    for name, value in model.state_dict().items():
        array = value.numpy().astype(np.float32)
        gguf_name = name.replace(".attention.", ".")
        if array.ndim == 1:
            writer.add_tensor(gguf_name, array)
        else:
            writer.add_tensor(gguf_name, gguf.quants.quantize(array, Q8_0), raw_dtype=Q8_0)


def write_gguf(path: Path, model: Llama, vocabulary: Vocabulary) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    add_header(writer, model.shape, model.parameter_count())
    add_tokenizer(writer, vocabulary)
    add_tensors(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

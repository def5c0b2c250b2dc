"""Keys of a quantization_config that no reader uses; each may change the weights' size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.formats.quantization_config import is_mlx

_READ = """
bits config_groups dynamic exclude exclude_modules expert_dtype extra_config forward_dtype format
global_quant_config group_size head_bits ignore ignored_layers in_group_size kv_cache_quant_algo
kv_cache_scheme layer_quant_config lm_head llm_int8_skip_modules load_in_4bit load_in_8bit method
mode modules_in_block_to_quantize modules_to_not_convert nbits nbits_per_codebook num_codebooks
q_group_size quant_algo quant_config quant_method quant_type quant_type_kwargs quantized_layers
skip_modules data_type w_bit weight_block_size
"""
# Settings of the quantizer and of kernels: they do not change the stored bytes.
_HARMLESS = """
_load_in_4bit _load_in_8bit act_bits act_data_type act_dynamic act_group_size act_sym
activation_scheme algo_config amp autoround_version axis backend backward_dtype batch_size
block_name_to_quantize bnb_4bit_compute_dtype bnb_4bit_quant_storage bnb_4bit_quant_type
bnb_4bit_use_double_quant cache_block_outputs calibration checkpoint_format codebook
damp_auto_increment damp_percent dataset dequantize desc_act disable_exllama enable_minmax_tuning
enable_norm_bias_tuning enable_quanted_input exllama_config export fmt forward_method
global_compression_ratio gradient_accumulate_steps hadamard_group_size has_zero_point
is_marlin_format iters kv_cache_group kv_cache_post_rope kv_cache_quant_config linear_class
llm_int8_enable_fp32_cpu_offload llm_int8_has_fp16_weight llm_int8_threshold low_gpu_mem_usage lr
max_input_length meta min_kv_scale minmax_lr model_file_base_name model_name_or_path model_seqlen
moe_quant_algo nsamples out_scales pack_dtype packing_format pad_token_id pre_quant_scale producer
pseudoquantization quant_mode quantization quantization_mode quantization_status quantizer
scale_dtype scale_fmt seqlen softmax_quant_spec static_groups super_bits super_group_size sym
tensor_storage to_quant_block_names tokenizer transform_config transform_init true_sequential
use_cuda_fp16 use_exllama version weights zero_point
"""
_KNOWN = frozenset((*_READ.split(), *_HARMLESS.split()))


def unread_quantization_keys(details: Mapping[str, Any]) -> tuple[str, ...]:
    """Sorted names of unread keys.

    MLX's keys include module paths, and a dense ``sparsity_config`` has no effect: both are left
    out.
    """
    return tuple(sorted(_unread(details)))


def _unread(details: Mapping[str, Any]) -> Iterator[str]:
    mlx = is_mlx(details) or details.get("quant_method") == "mlx"
    for key, value in details.items():
        if key in _KNOWN or value is None or value in ({}, [], "", False):
            continue
        if mlx and isinstance(value, (Mapping, bool)):
            continue
        if key == "sparsity_config" and _dense(value):
            continue
        yield str(key)


def _dense(sparsity: Any) -> bool:
    return isinstance(sparsity, Mapping) and sparsity.get("format", "dense") == "dense"

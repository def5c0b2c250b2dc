"""The readers of the engines' packages, over small packages of the same form."""

from __future__ import annotations

import pytest

from scripts.build_engine_tables import _runs
from scripts.engine_tables import llamacpp, sglang, vllm
from scripts.engine_tables.packages import version_key
from scripts.engine_tables.sources import Sources

VLLM = {
    "vllm/model_executor/models/registry.py": (
        '_TEXT_GENERATION_MODELS = {"AForCausalLM": ("a", "AForCausalLM")}\n'
        '_PREVIOUSLY_SUPPORTED_MODELS = {"OldForCausalLM": "0.2.0"}\n'
    ),
    "vllm/model_executor/models/a.py": (
        "from .base import Base\nclass AForCausalLM(Base):\n    pass\n"
    ),
    "vllm/model_executor/models/base.py": (
        "from .interfaces import SupportsLoRA\nclass Base(SupportsLoRA):\n    pass\n"
    ),
    "vllm/model_executor/layers/quantization/__init__.py": (
        'QuantizationMethods = Literal["fp8", "old"]\n'
        'DEPRECATED_QUANTIZATION_METHODS = ["old"]\n'
        "from vllm.model_executor.layers.quantization.fp8 import Fp8Config\n"
        'method_to_config = {"fp8": Fp8Config}\n'
    ),
    "vllm/model_executor/layers/quantization/fp8.py": (
        "class Fp8Config:\n    @classmethod\n    def get_min_capability(cls):\n        return 75\n"
        "    def get_supported_act_dtypes(self):\n        return [torch.bfloat16, torch.half]\n"
    ),
    "vllm/platforms/rocm.py": 'class R:\n    supported_quantization: list[str] = ["fp8"]\n',
    "vllm/config/model.py": (
        '_FLOAT16_NOT_SUPPORTED_MODELS = {"gemma2": "overflow"}\n'
        "def _get_and_verify_max_len():\n"
        '    if rope_type not in ("su", "llama3"):\n        pass\n'
    ),
    "vllm/config/cache.py": (
        "class CacheConfig:\n    gpu_memory_utilization: float = Field(default=0.92, gt=0)\n"
    ),
    "vllm/tool_parsers/__init__.py": '_TOOL_PARSERS_TO_REGISTER = {"hermes": ("a", "B")}\n',
    "vllm/engine/arg_utils.py": (
        "class EngineArgs:\n    max_model_len: int = 1\n"
        "def get_kwargs(cls):\n    pass\n"
        'parser.add_argument("--swap-space", type=float)\n'
    ),
    "vllm/envs.py": 'VLLM_MAIN_CUDA_VERSION: str = "12.9"\n',
    "CMakeLists.txt": (
        "if(DEFINED CMAKE_CUDA_COMPILER_VERSION AND\n"
        "   CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 13.0)\n"
        '  set(CUDA_SUPPORTED_ARCHS "7.5;8.0")\n'
        "elseif(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)\n"
        '  set(CUDA_SUPPORTED_ARCHS "7.0;12.0")\n'
        "else()\n"
        '  set(CUDA_SUPPORTED_ARCHS "7.0")\nendif()\n'
        'set(HIP_SUPPORTED_ARCHS "gfx942;gfx950")\n'
    ),
}
SGLANG = {
    "sglang/srt/models/a.py": "EntryClass = [AForCausalLM, BForCausalLM]\n",
    "sglang/srt/layers/quantization/__init__.py": (
        "from sglang.srt.layers.quantization.fp8 import Fp8Config\n"
        'BASE_QUANTIZATION_METHODS = {"fp8": Fp8Config}\n'
        'if is_npu():\n    BASE_QUANTIZATION_METHODS.update({"gptq": Fp8Config})\n'
    ),
    "sglang/srt/layers/quantization/fp8.py": (
        "class Fp8Config:\n    def get_min_capability(self):\n"
        "        if is_npu():\n            return 0\n"
        "        return 100 if self.use_mxfp8 else 80\n"
    ),
    "sglang/srt/function_call/function_call_parser.py": (
        "class P:\n    ToolCallParserEnum: Dict = {'qwen25': Q}\n"
    ),
    "sglang/srt/server_args.py": (
        "class ServerArgs:\n    tp_size: int = 1\n"
        'parser.add_argument("--tensor-parallel-size", "--tp-size")\n'
    ),
}
LLAMACPP = {
    "t/llama.cpp/src/llama-arch.cpp": (
        "static const std::map LLM_ARCH_NAMES = {\n"
        '    { LLM_ARCH_LLAMA, "llama" },\n    { LLM_ARCH_UNKNOWN, "(unknown)" },\n};\n'
    ),
    "t/llama.cpp/ggml/include/ggml.h": (
        "enum ggml_type {\n    GGML_TYPE_F32 = 0,\n    GGML_TYPE_COUNT = 1,\n    };\n"
    ),
    "t/llama.cpp/common/arg.cpp": 'add_opt({"-c", "--ctx-size"}, "N");\n',
}


def test_a_vllm_package() -> None:
    assert set(vllm.facts(Sources(VLLM))) == {
        ("architecture", "AForCausalLM"), ("lora", "AForCausalLM"),
        ("removed", "OldForCausalLM 0.2.0"), ("method", "fp8 75 bfloat16,float16"),
        ("method", "old - -"), ("deprecated_method", "old"), ("platform_method", "rocm fp8"),
        ("float16_ban", "gemma2"), ("unscaled_rope", "su"), ("unscaled_rope", "llama3"),
        ("tool_parser", "hermes"), ("flag", "max-model-len"), ("flag", "swap-space"),
        ("cuda", "12.9"), ("cuda_build", "7.0"), ("cuda_build", "12.0"),
        ("rocm_build", "gfx942"), ("rocm_build", "gfx950"),
        ("default", "gpu_memory_utilization 0.92"),
    }  # fmt: skip


def test_an_sglang_package() -> None:
    assert set(sglang.facts(Sources(SGLANG))) == {
        ("architecture", "AForCausalLM"), ("architecture", "BForCausalLM"),
        ("method", "fp8 80/100 -"), ("other_method", "gptq is_npu()"), ("tool_parser", "qwen25"),
        ("flag", "tensor-parallel-size"), ("flag", "tp-size"),
    }  # fmt: skip


def test_sources_of_llamacpp() -> None:
    assert set(llamacpp.facts(Sources(LLAMACPP))) == {
        ("architecture", "llama"), ("method", "F32"), ("flag", "ctx-size"),
    }  # fmt: skip


def test_a_file_that_does_not_parse_has_no_facts() -> None:
    broken = Sources({**VLLM, "vllm/model_executor/models/registry.py": "def broken(:\n"})
    assert not [row for kind, row in vllm.facts(broken) if kind == "architecture"]


def test_runs_and_versions() -> None:
    assert _runs([0, 1, 2, 5, 7, 8]) == "0-2,5-5,7-8"
    assert version_key("0.8.5.post1") > version_key("0.8.5")
    with pytest.raises(ValueError, match="rc1"):
        version_key("0.9.0rc1")

"""Excerpts of failed starts whose cause is outside the engine: hub, rights, processor, signals.

In the form of real ones and written by us, like those of ``failed_starts``.
"""

from __future__ import annotations

from support.failed_starts import FailedStart

_VLLM = "INFO 10-11 10:42:02 [api_server.py:1839] vLLM API server version 0.11.0\n"
_TRACEBACK = 'Traceback (most recent call last):\n  File "/x/launch.py", line 14, in main\n'
_ENDED = (
    _VLLM + _TRACEBACK + "RuntimeError: Engine core initialization failed. See root cause above. "
    "Failed core proc(s): {'EngineCore_DP0': %s}\n"
)
_GATED = (
    "OSError: You are trying to access a gated repo.\n"
    "Make sure to have access to it at https://huggingface.co/acme/big.\n401 Client Error.\n"
)
_SGLANG = "[2026-04-16 01:01:00] server_args=ServerArgs(model_path='/m', tp_size=1)\n"
_SGL_KERNEL = (
    "[2026-04-16 01:02:09] Scheduler hit an exception: " + _TRACEBACK + "ImportError: \n"
    "[sgl_kernel] CRITICAL: Could not load any common_ops library!\n\nAttempted locations:\n"
)
_BUILD = "build: 6527 (7f766929) with cc 13.3.0 for x86_64-linux-gnu\n"
_LOAD = "llama_model_load: error loading model: "
_ROCM = (
    "/app/ggml/src/ggml-cuda/ggml-cuda.cu:88: ROCm error\n"
    "ggml_cuda_compute_forward: RMS_NORM failed\nROCm error: invalid device function\n"
)
_LOST = (
    "terminate called after throwing an instance of 'vk::DeviceLostError'\n"
    "  what():  vk::Queue::submit: ErrorDeviceLost\nAborted (core dumped)\n"
)
_METAL = (
    "ggml_metal_synchronize: error: command buffer 0 failed with status 5\n"
    "/b/ggml-metal-context.m:235: fatal error\n"
    "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)\n"
)
_NO_GPU = (
    "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA "
    f"runtime version\n{_LOAD}invalid value for main_gpu: 0 (available devices: 0)\n"
)
_RUNNER = (
    "time=2025-07-14T19:16:12.750+01:00 level=ERROR source=sched.go:457 "
    'msg="error loading llama server" error="llama runner process has terminated: %s"\n'
)
_PART = "gguf_init_from_file: failed to open GGUF file '/m/x-00002-of-00003.gguf'\n"

OUTSIDE = (
    FailedStart("gated", "vllm", _VLLM + _TRACEBACK + _GATED, "hub",
                "huggingface.co/acme/big", "config set hf_token"),
    FailedStart("ended by the system", "vllm", _ENDED % -9, "memory", "-9", "dmesg"),
    FailedStart("crashed", "vllm", _ENDED % -11, "crash", "-11", "another version"),
    FailedStart("instruction", "vllm", _ENDED % -4, "build", "-4", "another processor"),
    FailedStart("rights", "vllm",
                f"{_VLLM}{_TRACEBACK}PermissionError: [Errno 13] Permission denied: '/root/x'\n",
                "permission", "/root/x", "ls -l"),
    FailedStart("port of root", "vllm",
                f"{_VLLM}{_TRACEBACK}    sock.bind(addr)\nPermissionError: [Errno 13] Permission "
                "denied\n", "permission", "Permission denied", "--port"),
    FailedStart("message below", "sglang", _SGLANG + _SGL_KERNEL, "build", "common_ops library",
                "newer release"),
    FailedStart("watchdog", "sglang", f"{_SGLANG}[2026-04-16 01:12:09] Scheduler watchdog timeout "
                "(self.watchdog_timeout=300)\n", "timeout", "watchdog timeout", "watchdog-timeout"),
    FailedStart("part of a file", "llama.cpp", f"{_BUILD}{_PART}", "files", "00002-of-00003",
                "a part of the model"),
    FailedStart("AMD", "llama.cpp", _BUILD + _ROCM, "build", "invalid device function", "HSA_"),
    FailedStart("device lost", "llama.cpp", _BUILD + _LOST, "driver", "DeviceLost", "dmesg"),
    FailedStart("Metal", "llama.cpp", _BUILD + _METAL, "memory", "Insufficient Memory",
                "--context"),
    FailedStart("no usable GPU", "llama.cpp", _BUILD + _NO_GPU, "driver", "insufficient",
                "modelscan doctor"),
    FailedStart("cache without flash attention", "llama.cpp",
                f"{_BUILD}llama_init_from_model: V cache quantization requires flash_attn\n",
                "option", "requires flash_attn", "--flash-attention on"),
    FailedStart("killed", "llama.cpp", f"{_BUILD}Killed\n", "memory", "Killed", "dmesg"),
    FailedStart("instruction", "ollama", _RUNNER % "signal: illegal instruction (core dumped)",
                "build", "illegal instruction", "another processor"),
    FailedStart("crashed", "ollama", _RUNNER % "signal: segmentation fault", "crash",
                "segmentation fault", "newer Ollama"),
)  # fmt: skip

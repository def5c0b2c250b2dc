"""Excerpts of logs of failed starts, in the form of real ones and written by us.

Each has the engine, the kind that is right (None: no rule, the error itself is told), words of the
reason, words of the hint, and the options to retry with.
"""

from __future__ import annotations

from typing import NamedTuple


class FailedStart(NamedTuple):
    """One excerpt."""

    name: str
    backend: str
    log: str
    kind: str | None
    reason: str
    hint: str = ""
    retry: str = ""


_CONFIG = (
    "(EngineCore_DP0 pid=77) INFO 10-11 10:42:13 [core.py:77] Initializing a V1 LLM engine (v0.11.0) "
    "with config: model='/w/m', trust_remote_code=True, dtype=torch.bfloat16\n"
)
_ECHO = (
    "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed "
    "core proc(s): {}\n"
)


def _core(error: str, before: str = "", calls: str = "") -> str:
    """An error of the engine's process, with vLLM's prefixes, and its parent's echo."""
    prefix = "(EngineCore_DP0 pid=77) ERROR 10-11 10:42:20 [core.py:708] "
    rows = [
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        *calls.splitlines(),
    ]
    lines = "".join(f"{prefix}{row}\n" for row in [*rows, *error.splitlines()])
    return f"{_CONFIG}{before}{lines}{_ECHO}"


def _worker(error: str) -> str:
    prefix = "(Worker_TP1 pid=42) ERROR 09-16 20:57:00 [multiproc_executor.py:597] "
    rows = [
        "WorkerProc failed to start.",
        "Traceback (most recent call last):",
        *error.splitlines(),
    ]
    lines = "".join(f"{prefix}{row}\n" for row in rows)
    parent = (
        "(EngineCore_DP0 pid=40) ERROR 09-16 20:57:02 [core.py:718] EngineCore failed to start.\n"
        "(EngineCore_DP0 pid=40) ERROR 09-16 20:57:02 [core.py:718] Exception: WorkerProc "
        "initialization failed due to an exception in a background process. See stack trace for root "
        "cause.\n"
    )
    return f"{lines}{parent}{_ECHO}"


def _sglang(error: str, before: str = "") -> str:
    return (
        "[2026-02-01 10:00:00] server_args=ServerArgs(model_path='/w/m', trust_remote_code=True, "
        f"port=30000, mem_fraction_static=0.9)\n{before}"
        "[2026-02-01 10:00:44 TP0] Scheduler hit an exception: Traceback (most recent call last):\n"
        '  File "/x/sglang/srt/managers/scheduler.py", line 269, in run\n'
        f"    self.model_runner.load()\n{error}\n\n"
        "[2026-02-01 10:00:45] Rank 0 scheduler is dead. Please check if there are relevant logs.\n"
    )


def _pydantic(body: str, of: str = "ModelConfig", count: int = 1) -> str:
    prefix = "(APIServer pid=21) "
    plural = "s" if count > 1 else ""
    rows = ["Traceback (most recent call last):", '  File "/x/pydantic/_dataclasses.py", line 121',
            "    s.__pydantic_validator__.validate_python(args)",
            f"pydantic_core._pydantic_core.ValidationError: {count} validation error{plural} for {of}",
            *body.splitlines(),
            "    For further information visit https://errors.pydantic.dev/2.12/v/value_error"]  # fmt: skip
    return "".join(f"{prefix}{row}\n" for row in rows)


_INPUT = "[type=value_error, input_value=ArgsKwargs((), {'model': ...}), input_type=ArgsKwargs]"
_TOO_NEW_GPU = (
    "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device\n"
    "CUDA kernel errors might be asynchronously reported at some other API call\n"
    "For debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)
_NCCL = (
    "torch.distributed.DistBackendError: NCCL error in: /pytorch/NCCLUtils.cpp:77, unhandled system "
    "error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.3\nncclSystemError: System call "
    "(e.g. socket, malloc) or external library call failed or device error.\nLast error:\n"
)
VLLM = (
    FailedStart("missing tensor", "vllm", _core("KeyError: 'layers.7.mlp.gate.g_idx'"), None, "g_idx"),
    FailedStart("worker first", "vllm", _worker("KeyError: 'layers.35.mlp.gate.g_idx'"), None, "g_idx"),
    FailedStart("bare assertion", "vllm", _core("AssertionError"), None, "AssertionError"),
    FailedStart(
        "chained", "vllm",
        _core("KeyError: 'first'\n\nDuring handling of the above exception, another exception occurred:"
              "\n\nTraceback (most recent call last):\n  File \"/x/a.py\", line 3\nValueError: second"),
        None, "ValueError: second",
    ),
    FailedStart(
        "probe of a port", "vllm",
        _core("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB.",
              "(EngineCore_DP0 pid=9) INFO 01-20 16:32:09 [network_utils.py:185] Port 40064 is already "
              "in use, trying port 40065\n"),
        "memory", "CUDA out of memory", "less --context",
    ),
    FailedStart(
        "port of a metrics thread", "vllm",
        "Exception in thread Thread-4 (metrics):\nTraceback (most recent call last):\n"
        '  File "/x/threading.py", line 1\nOSError: [Errno 98] Address already in use\n'
        + _core("ValueError: No available memory for the cache blocks."),
        "memory", "No available memory",
    ),
    FailedStart(
        "port of the ranks", "vllm",
        _worker("torch.distributed.DistNetworkError: The server socket has failed to listen on any "
                "local network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, "
                "message: address already in use"),
        "port", "server socket has failed", "start it again",
    ),
    FailedStart(
        "its own port", "vllm",
        "Traceback (most recent call last):\n  File \"/x/uvicorn/config.py\", line 604, in bind_socket\n"
        "OSError: [Errno 98] Address already in use\n", "port", "Address already in use", "--port",
    ),
    FailedStart(
        "import warning", "vllm",
        'WARNING 11-03 08:00:00 [interface.py:381] Failed to import from vllm._C: ModuleNotFoundError('
        "\"No module named 'vllm._C'\")\nWARNING 11-03 08:00:00 [x.py:1] ImportError('libcuda.so.1: "
        "cannot open shared object file')\n" + _core("RuntimeError: hidden size 1024 differs"),
        None, "hidden size 1024",
    ),
    FailedStart(
        "usage statistics", "vllm",
        "Exception in thread Thread-1 (_report_usage_worker):\nTraceback (most recent call last):\n"
        "OSError: [Errno 28] No space left on device: '/root/.config/vllm/usage_stats.json'\n"
        + _core("ValueError: Weird"), None, "ValueError: Weird",
    ),
    FailedStart("pydantic", "vllm", _pydantic(f"  Value error, No model architectures are specified {_INPUT}"),
                "files", "No model architectures are specified", "config.json"),
    FailedStart("pydantic fields", "vllm",
                _pydantic("max_num_seqs\n  Input should be greater than 0 [type=greater_than, "
                          "input_value=0, input_type=int]\nseed\n  Input should be a valid integer "
                          "[type=int_type, input_value='x', input_type=str]", "SchedulerConfig", 2),
                None, "max_num_seqs: Input should be greater than 0; seed: Input should be"),
    FailedStart("awq", "vllm",
                _pydantic("  Value error, torch.bfloat16 is not supported for quantization method awq. "
                          f"Supported dtypes: [torch.float16] {_INPUT}", "VllmConfig"),
                "dtype", "bfloat16 is not supported", "dtype=half", "--param dtype=half"),
    FailedStart("argument", "vllm",
                "usage: api_server.py [-h]\napi_server.py: error: argument --compilation-config: 1 "
                "validation error for CompilationConfig\nmode\n  Input should be 0, 1, 2 or 3 [type=enum, "
                "input_value=9, input_type=int]\n", "option", "Input should be 0, 1, 2 or 3"),
    FailedStart("mamba", "vllm",
                _core("ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (614). "
                      "Please lower max_num_seqs"),
                "memory", "Mamba cache blocks (614)", "max-num-seqs=614", "--param max-num-seqs=614"),
    FailedStart("sampler", "vllm",
                _core("RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy "
                      "requests. Please try lowering `max_num_seqs` or `gpu_memory_utilization`"),
                "memory", "warming up sampler", "max-num-seqs", "--param max-num-seqs=256"),
    FailedStart("graphs", "vllm",
                _core("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 96.00 MiB.",
                      calls='  File "/x/gpu_model_runner.py", line 9, in capture_model\n'
                            "    self._capture_cudagraphs(cases)"),
                "memory", "CUDA out of memory", "without CUDA graphs", "--param enforce-eager"),
    FailedStart("lora rank", "vllm", _core("ValueError: LoRA rank 48 is greater than max_lora_rank 16."),
                "option", "LoRA rank 48", "max-lora-rank=64", "--param max-lora-rank=64"),
    FailedStart("batched tokens", "vllm",
                _pydantic("  Value error, max_num_batched_tokens (2048) is smaller than max_model_len "
                          f"(4096). This effectively limits the maximum sequence length {_INPUT}"),
                "option", "max_num_batched_tokens (2048)", "4096", "--param max-num-batched-tokens=4096"),
    FailedStart("new card", "vllm", _core(_TOO_NEW_GPU), "build", "no kernel image", "build of vllm"),
    FailedStart("old driver", "vllm",
                _core("torch.AcceleratorError: CUDA error: the provided PTX was compiled with an "
                      "unsupported toolchain."), "driver", "unsupported toolchain", "driver"),
    FailedStart("no gpu", "vllm", _core("RuntimeError: No CUDA GPUs are available"),
                "driver", "No CUDA GPUs", "CUDA_VISIBLE_DEVICES"),
    FailedStart("driver replaced", "vllm",
                _core("pynvml.NVMLError_LibRmVersionMismatch: RM has detected an NVML/RM version "
                      "mismatch."), "driver", "version mismatch", "restart this machine"),
    FailedStart("triton", "vllm",
                _worker("triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: "
                        "98304, Hardware limit: 65536. Reducing block sizes may help."),
                "kernel", "out of resource", "--backend llama.cpp"),
    FailedStart("dev shm", "vllm",
                "worker:42:42 [1] NCCL WARN Error: failed to extend /dev/shm/nccl-Ab12 to 33030532 bytes, "
                "error: No space left on device (28)\n" + _worker(_NCCL + "Error while creating shared "
                "memory segment /dev/shm/nccl-Ab12 (size 33030400), error: No space left on device (28)"),
                "shared_memory", "No space left on device", "--shm-size"),
    FailedStart("dev shm, in nccl's own line only", "vllm",
                "worker:42:42 [1] NCCL WARN Error: failed to extend /dev/shm/nccl-Ab12 to 33030532 bytes, "
                "error: No space left on device (28)\n" + _worker(_NCCL),
                "shared_memory", "/dev/shm/nccl-Ab12", "--shm-size"),
    FailedStart("bus error", "vllm",
                _core("RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is "
                      "possible that dataloader's workers are out of shared memory."),
                "shared_memory", "Bus error", "--shm-size"),
    FailedStart("nccl's memory", "vllm",
                "worker:42:42 [0] NCCL WARN Cuda failure 2 'out of memory'\n" + _worker(_NCCL),
                "memory", "out of memory", "less --context"),
    FailedStart("nccl", "vllm", _worker(_NCCL), "interconnect", "NCCL error", "NCCL_DEBUG"),
    FailedStart("full disk", "vllm", _core("OSError: [Errno 28] No space left on device"),
                "disk", "No space left", "free some space"),
    FailedStart("own code", "vllm",
                _pydantic("  Value error, The repository /w/m contains custom code which must be executed "
                          f"to correctly load the model. {_INPUT}"),
                "code", "custom code", "--allow-unsafe"),
)  # fmt: skip
SGLANG = (
    FailedStart(
        "graphs", "sglang",
        _sglang("Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 448.00 MiB.\n"
                "Possible solutions:\n1. set --mem-fraction-static to a smaller value (e.g., 0.8 or 0.7)\n"
                "2. set --cuda-graph-max-bs to a smaller value (e.g., 32)"),
        "memory", "Capture cuda graph failed", "0.8", "--memory-utilization 0.8",
    ),
    FailedStart(
        "benign lines", "sglang",
        _sglang("KeyError: 'model.layers.0.x'",
                "[2026-02-01 10:00:01] Port 30001 is already in use, using 30002 for nccl\n"
                "[2026-02-01 10:00:01] Ignore import error when loading sglang.srt.models.x: No module "
                "named 'x'\n"),
        None, "model.layers.0.x",
    ),
    FailedStart("architecture", "sglang",
                _sglang("ValueError: NewForCausalLM has no SGlang implementation and the Transformers "
                        "implementation is not compatible with SGLang."),
                "architecture", "no SGlang implementation", "newer sglang"),
    FailedStart("unbalanced", "sglang",
                _sglang("ValueError: The memory capacity is unbalanced. Some GPUs may be occupied by "
                        "other processes."), "memory", "unbalanced", "modelscan gpu"),
)  # fmt: skip
_OLD = "build: 6019 (8ad7b3e6) with cc (Ubuntu 11.4.0) 11.4.0 for x86_64-linux-gnu\n"
_OLD_END = (
    "llama_model_load_from_file_impl: failed to load model\n"
    "common_init_from_params: failed to load model '/w/x.gguf', try reducing --n-gpu-layers if you're "
    "running out of VRAM\nsrv    operator(): operator(): cleaning up before exit...\n"
    "main: exiting due to model loading error\n"
)


def _old(*lines: str) -> str:
    return _OLD + "".join(f"{line}\n" for line in lines) + _OLD_END


def _new(*lines: str) -> str:
    rows = ["0.00.310.511 I llama_model_loader: loaded meta data with 29 key-value pairs and 255 tensors",
            *(f"0.00.514.020 E {line}" for line in lines),
            "0.00.514.077 E llama_model_load_from_file_impl: failed to load model",
            "0.00.514.120 E srv    load_model: failed to load model, '/w/x.gguf'"]  # fmt: skip
    return "".join(f"{row}\n" for row in rows)


_LOADING = "llama_model_load: error loading model: "
LLAMACPP = tuple(
    FailedStart(f"{name}, {form}", "llama.cpp", write(*lines), kind, reason, hint)
    for form, write in (("with levels", _new), ("without", _old))
    for name, lines, kind, reason, hint in (
        ("tensor count", (f"{_LOADING}done_getting_tensors: wrong number of tensors; expected 255, got 254",),
         "build", "wrong number of tensors", "newer llama-server"),
        ("missing tensor", (f"{_LOADING}missing tensor 'blk.0.attn_q_norm.weight'",),
         "build", "missing tensor", "newer llama-server"),
        ("type", ("gguf_init_from_file_impl: tensor 'blk.0.ffn_down_exps.weight' has invalid ggml type 39. "
                  "should be in [0, 39)", "gguf_init_from_file_impl: failed to read tensor info"),
         "build", "invalid ggml type 39", "newer llama-server"),
        ("damaged", (f"{_LOADING}tensor 'blk.30.ffn_up.weight' data is not within the file bounds, model is "
                     "corrupted or incomplete",), "files", "not within the file bounds", "download it again"),
        ("magic", ("gguf_init_from_file_impl: invalid magic characters: 'vers', expected 'GGUF'",),
         "files", "invalid magic", "download it again"),
        ("adapter", ("llama_adapter_lora_init: failed to apply lora adapter: LoRA tensor 'x.lora_q' has "
                     "unexpected suffix",), "files", "unexpected suffix", "another model"),
        ("architecture", (f"{_LOADING}error loading model architecture: unknown model architecture: 'new9'",),
         "architecture", "unknown model architecture", "newer llama-server"),
        ("memory", ("ggml_backend_cuda_buffer_type_alloc_buffer: allocating 24000.00 MiB on device 0: "
                    "cudaMalloc failed: out of memory", f"{_LOADING}unable to allocate CUDA0 buffer"),
         "memory", "cudaMalloc failed", "less --context"),
        ("no driver, then another cause",
         ("ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
          f"{_LOADING}error loading model architecture: unknown model architecture: 'new9'"),
         "architecture", "unknown model architecture", "newer llama-server"),
        ("port", ("main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 41007",),
         "port", "couldn't bind", "--port"),
    )
)  # fmt: skip
PLAIN_LLAMACPP = (
    FailedStart("argument", "llama.cpp", "error: invalid argument: --cache-ram\n", "option",
                "invalid argument", "--param"),
    FailedStart("library", "llama.cpp",
                "/opt/llama-server: error while loading shared libraries: libcudart.so.12: cannot open "
                "shared object file: No such file or directory\n", "package", "libcudart.so.12", "library"),
    FailedStart("driver alone", "llama.cpp",
                _old("ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for "
                     "CUDA runtime version"), "driver", "insufficient", "modelscan doctor"),
    FailedStart("abort", "llama.cpp", "/src/ggml.c:123: GGML_ASSERT(n > 0) failed\n", None, "GGML_ASSERT"),
)  # fmt: skip

_OLLAMA = (
    'time=2025-03-05T06:58:51.002Z level=INFO source=routes.go:1297 msg="Listening on '
    '127.0.0.1:11434 (version 0.5.13)"\n'
    "cuda driver library failed to get device context 2time=2025-03-05T06:58:51.109Z level=WARN "
    'source=gpu.go:434 msg="error looking up nvidia GPU memory"\n'
    'time=2025-03-05T06:58:54.116Z level=INFO source=server.go:380 msg="starting llama server" '
    'cmd="/usr/bin/ollama runner --model /root/.ollama/models/blobs/sha256-8c6 --ctx-size 8192"\n'
    'time=2025-03-05T06:58:54.117Z level=INFO source=server.go:591 msg="waiting for server to become '
    'available" status="llm server error"\n'
)


def _ended(error: str, *runner: str) -> str:
    """The runner's lines, what the server says of it, and its answer."""
    return (
        _OLLAMA
        + "".join(f"{line}\n" for line in runner)
        + (
            'time=2025-03-05T06:58:55.370Z level=ERROR source=sched.go:456 msg="error loading llama '
            f'server" error="llama runner process has terminated: {error}"\n'
            "[GIN] 2025/03/05 - 06:58:55 | 500 |  1.536271432s |       127.0.0.1 | POST     "
            '"/api/generate"\n'
        )
    )


_JOURNAL = "Jun 01 13:52:31 box ollama[317976]: "
OLLAMA = (
    FailedStart("memory of the GPU", "ollama", _ended(
        "cudaMalloc failed: out of memory",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 24000.00 MiB on device 0: cudaMalloc "
        "failed: out of memory", "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        "panic: unable to load model: /root/.ollama/models/blobs/sha256-8c6", "",
        "goroutine 34 [running]:", "\tgithub.com/ollama/ollama/runner/runner.go:679 +0x3a5"),
        "memory", "allocating 24000.00 MiB on device 0", "less --context"),
    FailedStart("memory of the machine", "ollama",
                "Error: model requires more system memory (164.8 GiB) than is available (13.4 GiB)\n",
                "memory", "164.8 GiB", "less --context"),
    FailedStart("killed", "ollama", _ended("signal: killed"), "memory", "signal: killed", "--quantization"),
    FailedStart("architecture", "ollama", _ended(
        "error loading model: error loading model architecture: unknown model architecture: 'new9'",
        f"{_LOADING}error loading model architecture: unknown model architecture: 'new9'"),
        "architecture", "unknown model architecture", "newer Ollama"),
    FailedStart("tensors, from the journal", "ollama", "".join(_JOURNAL + line + "\n" for line in _ended(
        "error loading model: missing tensor 'output_norm.weight'",
        f"{_LOADING}missing tensor 'output_norm.weight'").splitlines()),
        "build", "missing tensor", "newer Ollama"),
    FailedStart("an older server", "ollama",
                "pulling manifest\nError: pull model manifest: 412:\n\nThe model you are attempting to pull "
                "requires a newer version of Ollama.\n", "build", "newer version of Ollama", "newer Ollama"),
    FailedStart("damaged download", "ollama",
                "Error: digest mismatch, file must be downloaded again: want sha256:c53, got sha256:311\n",
                "files", "digest mismatch", "deploy it again"),
    FailedStart("unknown name", "ollama", "Error: pull model manifest: file does not exist\n", "files",
                "file does not exist", "modelscan plan"),
    FailedStart("its port", "ollama",
                "Error: listen tcp 127.0.0.1:11434: bind: address already in use\n", "port",
                "address already in use", "modelscan discover"),
    FailedStart("disk", "ollama",
                "time=2025-06-01T13:52:31.002Z level=ERROR source=download.go:291 msg=\"download failed\" "
                "error=\"write /m/blobs/sha256-c53-partial: no space left on device\"\n", "disk",
                "no space left on device", "OLLAMA_MODELS"),
    FailedStart("slow", "ollama",
                _ended("x").replace("llama runner process has terminated: x",
                                    "timed out waiting for llama runner to start - progress 0.40 - "),
                "timeout", "timed out waiting for llama runner to start", "OLLAMA_LOAD_TIMEOUT"),
    FailedStart("no rule", "ollama", _ended("exit status 2"), None, "exit status 2"),
    FailedStart("the second attempt is the one that counts", "ollama",
                _ended("x", "ggml_cuda: cudaMalloc failed: out of memory") + _ended(
                    "error loading model: tensor 'blk.30.ffn_up.weight' data is not within the file bounds"),
                "files", "not within the file bounds", "deploy it again"),
)  # fmt: skip
FAILED_STARTS = (*VLLM, *SGLANG, *OLLAMA, *LLAMACPP, *PLAIN_LLAMACPP)

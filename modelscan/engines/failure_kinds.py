"""The rules that Python engines share: one per cause, from their error texts."""

from __future__ import annotations

import re

from modelscan.core.remedy import Remedy
from modelscan.engines.failure_outside import Outside, outside
from modelscan.engines.failure_rules import Advice, Advise, Rule, changed, rule

SMALLER = Advice(
    "deploy it with less --context or --parallel, a smaller --quantization or more GPUs "
    "(--tensor-parallel)"
)
_HALF = Remedy(parameters=(("dtype", "half"),))


def parameter(name: str) -> Advise:
    """Advice that sets an engine option to the number that the engine names (group ``to``)."""

    def advise(match: re.Match[str]) -> Advice:
        remedy = Remedy(parameters=((name, match["to"]),))
        return Advice(remedy.text(), remedy)

    return advise


def before_memory() -> tuple[Rule, ...]:
    """The common rules before an engine's own: wrong options, a taken port, shared memory."""
    return (
        rule("option", r"unrecognized arguments:[^\n]*|invalid choice:[^\n]*|"
             r"error: argument [^\n]*",
             "leave out the --param that this version does not have; modelscan show NAME prints "
             "the command line"),
        rule("option", r"chat template [^\n]*(?:failed to be opened|not a valid|appears path-like)",
             "--param chat-template=PATH names no template: leave it out (the model has its own), "
             "or give a file that exists"),
        rule("port", r"address already in use|Errno 98|EADDRINUSE|port \d+ is (?:already )?"
             r"(?:in use|occupied)", "choose another --port, or leave it out", re.I),
        rule("shared_memory", r"Bus error|core proc\(s\): \{[^}\n]*: -7\b|out of shared memory|"
             r"No space left on device: '/(?:dev/shm|psm_|torch_|sem\.)|"
             r"(?:/dev/shm)[^\n]*(?:No space left|[Ee]rror[^\n]*\(28\))",
             "its processes share memory in /dev/shm, which is full: free it, or give the "
             "container a larger one (--shm-size 16g, or --ipc host)"),
    )  # fmt: skip


def after_memory(engine: str, slow: str) -> tuple[Rule, ...]:
    """The common rules after an engine's own, with its name in the hints.

    ``slow``: what helps when a start takes too long.
    """
    build = f"install another version of {engine}, or deploy it with --backend llama.cpp"
    return (
        *_machine(engine),
        *_out_of_memory(),
        *_model(engine),
        *_environment(engine),
        *outside(Outside(build, slow)),
    )


def _out_of_memory() -> tuple[Rule, ...]:
    return (
        Rule("memory", re.compile(r"(?:CUDA|HIP) out of memory|torch\.OutOfMemoryError|"
                                  r"CUDA error: out of memory|OutOfMemoryError|"
                                  r"Cuda failure (?:2 )?'out of memory'"), SMALLER),
        Rule("memory", re.compile(r"MemoryError|Cannot allocate memory|DefaultCPUAllocator: "
                                  r"(?:can't|not enough)"), SMALLER),
    )  # fmt: skip


def _machine(engine: str) -> tuple[Rule, ...]:
    return (
        rule("build", r"no kernel image is available|is not compatible with the current PyTorch "
             r"installation|Torch not compiled with CUDA|not compiled with (?:CUDA|GPU) support|"
             r"CUDA error: invalid device function|Could not load any common_ops library",
             f"install a build of {engine} that has code for this GPU (a newer release, or its "
             "wheels for another CUDA version), or deploy it with --backend llama.cpp"),
        rule("driver", r"Driver/library version mismatch|LibRmVersionMismatch",
             "the driver was updated and the old one is still loaded: restart this machine"),
        rule("driver", r"No CUDA GPUs are available|no CUDA-capable device",
             "no GPU is visible to it: look at CUDA_VISIBLE_DEVICES and modelscan gpu"),
        rule("driver", r"[Ii]nvalid device ordinal|"
             r"invalid literal for int\(\) with base 10: '(?:MIG|GPU)-",
             "it does not see the GPU that it was given: set CUDA_VISIBLE_DEVICES to numbers of "
             "modelscan gpu, and --tensor-parallel to no more than there are"),
        rule("driver", r"Error 802|system not yet initialized",
             "the GPUs are joined by NVSwitch, whose service does not run: "
             "sudo systemctl start nvidia-fabricmanager"),
        rule("driver",
             r"driver (?:on your system )?is too old|CUDA driver version is insufficient|"
             r"unsupported toolchain|Found no NVIDIA driver|Failed to infer device type|"
             r"forward compatibility was attempted|CUDA unknown error|cudaGetDeviceCount\(\)|"
             r"NVMLError|libcuda\.so\.1: cannot open",
             f"modelscan doctor   (the GPU's driver does not serve this build of {engine}: a newer "
             "driver, or a build for an older CUDA)"),
        rule("kernel", r"OutOfResources|out of resource: shared memory",
             "a kernel needs more on-chip memory than this GPU has: deploy it with another "
             "--quantization, or --backend llama.cpp"),
        rule("disk", r"No space left on device",
             f"free some space on that disk: {engine} writes compiled kernels when it starts"),
    )  # fmt: skip


def _model(engine: str) -> tuple[Rule, ...]:
    return (
        changed("dtype", r"Bfloat16 is only supported on GPUs with compute capability|"
                r"bfloat16 is not supported for quantization method", _HALF),
        rule("quantization",
             r"quantization method \S+ is not supported for the current GPU|Quantization scheme is "
             r"not supported|Unknown quantization method|Invalid quantization method|"
             r"[Qq]uantization[^\n]{0,80}(?:does not match|is not supported|not currently "
             r"supported)",
             "deploy it with another --quantization (see modelscan plan MODEL), or "
             "--backend llama.cpp"),
        rule("architecture",
             r"Model architectures \[[^\]]*\] (?:are not supported|failed to be inspected)|"
             r"model type `?\S+`? but Transformers does not recognize|"
             r"has no (?:vLLM|SGLang|SGlang) implementation|Unsupported architectures?|is not a "
             r"supported architecture|Cannot find model module|GGUF model with architecture \S+ is "
             r"not supported",
             f"install a newer {engine} in its environment, or deploy it with "
             "--backend llama.cpp"),
        rule("files", r"No model architectures are specified",
             "the folder's config.json names no architecture: give the folder of the model's own "
             "weights"),
        rule("split",
             r"(?:attention heads|`?num_\w*heads)[^\n]*must be divisible by[^\n]*|"
             r"is not divisible by (?:the )?(?:tensor|tp|weight quantization block)|"
             r"(?:World|[Pp]arallel) size[^\n]*larger than the number of available GPUs",
             "deploy it with --tensor-parallel 1, 2, 4 or 8: a divisor of its attention heads"),
    )  # fmt: skip


def _environment(engine: str) -> tuple[Rule, ...]:
    return (
        rule("code", r"(?:pass|set|setting|requires?)[^\n]{0,80}`?trust_remote_code[`=]|contains "
             r"custom code which must be executed|requires you to execute the \w+ file",
             "this repository wants to run its own code: choose another one, or, if you trust "
             "its publisher, deploy it with --allow-unsafe"),
        rule("files", r"Cannot find any model weights|SafetensorError|"
             r"does not appear to have a file named|Error while deserializing header|"
             r"Can't load (?:the )?(?:tokenizer|config\w*|model|image processor|feature extractor) "
             r"(?:for|of)|FileNotFoundError[^\n]*\.(?:safetensors|bin|pth?|gguf|json|model)\b",
             "the files are damaged or incomplete: modelscan cache verify, then pull it again"),
        rule("package", r"Failed to find C compiler|Could not find nvcc|Ninja build failed|"
             r"Ninja is required|Python\.h: No such file|"
             r"Command '\[?'?\S*(?:gcc|c\+\+|nvcc|ninja)\b|"
             r"No such file or directory: '(?:gcc|g\+\+|cc|c\+\+|nvcc|ninja)'",
             f"{engine} compiles kernels when it starts: install gcc, ninja, the headers of its "
             "Python (python3-dev) and, if nvcc is named, the CUDA toolkit"),
        rule("package", r"Couldn't instantiate the backend tokenizer",
             f"pip install sentencepiece tiktoken   (into the environment of {engine}; if they are "
             "there, the folder lacks the model's tokenizer)"),
        rule("interconnect", r"NCCL error[^\n]*|ncclUnhandled\w+|ncclSystemError|"
             r"DistBackendError|NCCL watchdog|Watchdog caught collective operation timeout|"
             r"peer access is not supported",
             "the GPUs cannot talk to each other: deploy it with --tensor-parallel 1, or see "
             "what NCCL says with the variable NCCL_DEBUG=INFO"),
        rule("package", r"No module named '[\w.]+'|undefined symbol|ImportError: [^\n]*|"
             r"PackageNotFoundError[^\n]*",
             f"the environment of {engine} is incomplete: reinstall it (modelscan docs engines)"),
    )  # fmt: skip

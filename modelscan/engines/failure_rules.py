"""Rules that recognise from a log why an engine did not start; those that Python engines share.

Each rule has a kind, a pattern of the line that states the cause, and advice. The log of a failed
start has hundreds of lines of traceback; the cause is above them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelscan.core.remedy import Remedy
from modelscan.engines.base import EngineFailure, FailureKind

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Advice:
    """A hint for the user, and the same as a typed change if there is one."""

    hint: str
    remedy: Remedy | None = None


Advise = Callable[[re.Match[str]], Advice]


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` matches the cause; ``advice`` is fixed, or computed from the match."""

    kind: FailureKind
    pattern: re.Pattern[str]
    advice: Advice | Advise

    def failure(self, reason: str, match: re.Match[str]) -> EngineFailure:
        """The failure that this rule recognizes, with the advice for ``match``."""
        advice = self.advice if isinstance(self.advice, Advice) else self.advice(match)
        return EngineFailure(
            reason, advice.hint, port_taken=self.kind == "port", kind=self.kind,
            remedy=advice.remedy,
        )  # fmt: skip


def rule(kind: FailureKind, pattern: str, hint: str | Advise, flags: int = 0) -> Rule:
    """A rule from its texts."""
    advice = Advice(hint) if isinstance(hint, str) else hint
    return Rule(kind, re.compile(pattern, flags), advice)


SMALLER = Advice(
    "deploy it with less --context or --parallel, a smaller --quantization or more GPUs "
    "(--tensor-parallel)"
)


def recognise(rules: Sequence[Rule], log: str) -> EngineFailure | None:
    """The first rule that matches; else the log's last exception; None without either."""
    for one in rules:
        match = one.pattern.search(log)
        if match is not None:
            return one.failure(_line_around(log, match), match)
    last = _last_exception(log)
    return None if last is None else EngineFailure(last, None)


def _line_around(log: str, match: re.Match[str]) -> str:
    start = log.rfind("\n", 0, match.start()) + 1
    end = log.find("\n", match.end())
    return clean(log[start : end if end >= 0 else len(log)])


def clean(line: str) -> str:
    """A log line without the prefixes of loggers and process names."""
    text = _PREFIX.sub("", " ".join(line.split()))
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    return _LISTS.split(text, maxsplit=1)[0].rstrip(" .")[:_LONGEST]


_PREFIX = re.compile(
    r"^(?:\((?:\w+[ _]*)+(?:pid=\d+)?\)|\[[\d:. T-]{10,}(?: (?:TP|PP|DP)\d+)*\]|"
    r"(?:ERROR|WARNING|INFO|CRITICAL)\b:?|\d{2}-\d{2} [\d:.]{8,}|\[[\w./]+:\d+\]|\w+\.py:\d+\])\s*"
)
_LISTS = re.compile(
    r" Supported architectures:| Must be one of| To allow overriding| For debugging"
)
_EXCEPTION = re.compile(
    r"^.*?\b((?:[\w.]+\.)?(?:\w*Error|\w*Exception|AssertionError|KeyboardInterrupt): .+)$", re.M
)
# A parent process repeats that its child failed, without the cause.
_ECHO = re.compile(
    r"Engine core initialization failed|Engine process failed to start|Worker failed"
)


def _last_exception(log: str) -> str | None:
    exceptions = [match[1] for match in _EXCEPTION.finditer(log)]
    causes = [text for text in exceptions if not _ECHO.search(text)]
    return clean((causes or exceptions)[-1]) if exceptions else None


def number(text: str | None) -> float | None:
    """``40,960`` and ``5.62`` as numbers; None for an absent group."""
    return float(text.replace(",", "")) if text else None


def before_memory() -> tuple[Rule, ...]:
    """The common rules before an engine's own: wrong options, a taken port."""
    return (
        rule("option", r"unrecognized arguments:[^\n]*|invalid choice:[^\n]*|"
             r"error: argument [^\n]*",
             "leave out the --param that this version does not have; modelscan show NAME prints "
             "the command line"),
        rule("port", r"address already in use|Errno 98|EADDRINUSE|port \d+ is (?:already )?"
             r"(?:in use|occupied)", "choose another --port, or leave it out", re.I),
    )  # fmt: skip


def after_memory(engine: str) -> tuple[Rule, ...]:
    """The common rules after an engine's own, with its name in the hints."""
    return (*_out_of_memory(), *_machine(engine), *_model(engine), *_environment(engine))


def _out_of_memory() -> tuple[Rule, ...]:
    return (
        Rule("memory", re.compile(r"(?:CUDA|HIP) out of memory|torch\.OutOfMemoryError|"
                                  r"CUDA error: out of memory|OutOfMemoryError"), SMALLER),
        Rule("memory", re.compile(r"MemoryError|Cannot allocate memory|DefaultCPUAllocator: "
                                  r"(?:can't|not enough)"), SMALLER),
    )  # fmt: skip


def _machine(engine: str) -> tuple[Rule, ...]:
    return (
        rule("driver",
             r"driver (?:on your system )?is too old|CUDA driver version is insufficient|"
             r"no CUDA-capable device|Found no NVIDIA driver|Failed to infer device type|"
             r"no kernel image is available|forward compatibility was attempted|CUDA unknown error|"
             r"cudaGetDeviceCount\(\)|"
             r"libcuda\.so\.1: cannot open",
             f"modelscan doctor   (the GPU's driver does not serve this build of {engine})"),
        rule("disk", r"No space left on device: '/dev/shm[^\n]*",
             "its processes share memory in /dev/shm, which is full: free it, or give the "
             "container a larger one (--shm-size)"),
        rule("disk", r"No space left on device",
             f"free some space on that disk: {engine} writes compiled kernels when it starts"),
    )  # fmt: skip


def _model(engine: str) -> tuple[Rule, ...]:
    return (
        rule("quantization",
             r"quantization method \S+ is not supported for the current GPU|Quantization scheme is "
             r"not supported|Unknown quantization method|Invalid quantization method|"
             r"quantization[^\n]{0,80}(?:does not match|is not supported|not currently supported)",
             "deploy it with another --quantization (see modelscan plan MODEL), or "
             "--backend llama.cpp"),
        Rule("dtype", re.compile(r"Bfloat16 is only supported on GPUs with compute capability"),
             _HALF),
        rule("architecture",
             r"Model architectures \[[^\]]*\] (?:are not supported|failed to be inspected)|"
             r"model type `?\S+`? but Transformers does not recognize|"
             r"has no vLLM implementation|Unsupported architectures?|is not a supported "
             r"architecture|Cannot find model module|GGUF model with architecture \S+ is not "
             r"supported",
             f"install a newer {engine} in its environment, or deploy it with "
             "--backend llama.cpp"),
        rule("split",
             r"(?:number of )?attention heads[^\n]*must be divisible by[^\n]*|"
             r"is not divisible by (?:the )?(?:tensor|tp|weight quantization block)|"
             r"World size[^\n]*larger than the number of available GPUs",
             "deploy it with --tensor-parallel 1, 2, 4 or 8: a divisor of its attention heads"),
    )  # fmt: skip


_HALF = Advice(
    Remedy(parameters=(("dtype", "half"),)).text(), Remedy(parameters=(("dtype", "half"),))
)  # fmt: skip


def _environment(engine: str) -> tuple[Rule, ...]:
    return (
        rule("code", r"trust_remote_code=True",
             "this repository wants to run its own code: choose another one, or, if you trust "
             "its publisher, deploy it with --allow-unsafe"),
        rule("files", r"Cannot find any model weights|SafetensorError|"
             r"does not appear to have a file named|Error while deserializing header",
             "the files are damaged or incomplete: modelscan cache verify, then pull it again"),
        rule("package", r"Failed to find C compiler|"
             r"No such file or directory: '(?:gcc|cc|nvcc|ninja)'",
             f"{engine} compiles kernels when it starts: install a C compiler (gcc)"),
        rule("interconnect", r"NCCL error[^\n]*|ncclUnhandled\w+|ncclSystemError",
             "the GPUs cannot talk to each other: deploy it with --tensor-parallel 1, or see "
             "what NCCL says with the variable NCCL_DEBUG=INFO"),
        rule("package", r"No module named '[\w.]+'|undefined symbol|ImportError: [^\n]*|"
             r"PackageNotFoundError[^\n]*",
             f"the environment of {engine} is incomplete: reinstall it, see docs/engines.md"),
    )  # fmt: skip

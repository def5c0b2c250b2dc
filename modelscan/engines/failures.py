"""Why vLLM or SGLang did not start, in the engine's own words, and what would help. Pure.

Each rule has a kind, the line that says so and the change to ask for next. The log of a failed
start has hundreds of lines of traceback; the cause stands above them and is told first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from modelscan.core.remedy import Remedy
from modelscan.engines.base import Failure, FailureKind

_STEP_TOKENS = 256
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: FailureKind
    pattern: re.Pattern[str]
    advise: Callable[[re.Match[str], str], tuple[str, Remedy | None]]  # hint, change


def recognise(backend: str, log: str) -> Failure | None:
    """The first rule that matches; without one, the log's last exception; None without either."""
    for rule in _RULES:
        match = rule.pattern.search(log)
        if match is None:
            continue
        hint, remedy = rule.advise(match, backend)
        line = _line_around(log, match)
        return Failure(line, hint, port_taken=rule.kind == "port", kind=rule.kind, remedy=remedy)
    last = _last_exception(log)
    return None if last is None else Failure(last, None)


def _line_around(log: str, match: re.Match[str]) -> str:
    start = log.rfind("\n", 0, match.start()) + 1
    end = log.find("\n", match.end())
    line = log[start : end if end >= 0 else len(log)]
    return clean(line)


def clean(line: str) -> str:
    """A log line without what loggers and process names put before it."""
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
# A parent repeats that its child failed: true, and of no use to anybody.
_ECHO = re.compile(
    r"Engine core initialization failed|Engine process failed to start|Worker failed"
)


def _last_exception(log: str) -> str | None:
    said = [match[1] for match in _EXCEPTION.finditer(log)]
    useful = [text for text in said if not _ECHO.search(text)]
    return clean((useful or said)[-1]) if said else None


def _smaller(match: re.Match[str], backend: str) -> tuple[str, Remedy | None]:
    return ("deploy it with less --context or --parallel, a smaller --quantization or more GPUs "
            "(--tensor-parallel)", None)  # fmt: skip


def _context(match: re.Match[str], backend: str) -> tuple[str, Remedy | None]:
    """The longest context that the engine itself says would fit; else in the pool's proportion."""
    found = match.groupdict()
    tokens = _number(found.get("possible"))
    wanted, needed, there = (_number(found.get(key)) for key in ("wanted", "needed", "there"))
    if tokens is None and wanted and needed and there:
        tokens = int(wanted * there / needed)
    if tokens is None:
        tokens = _number(found.get("held"))
    if not tokens or tokens < _STEP_TOKENS:
        return _smaller(match, backend)
    whole = int(tokens) // _STEP_TOKENS * _STEP_TOKENS
    return f"deploy it with --context {whole}", Remedy(context_tokens=whole)


def _number(text: str | None) -> float | None:
    return float(text.replace(",", "")) if text else None


def _utilization(match: re.Match[str], backend: str) -> tuple[str, Remedy | None]:
    """Others hold part of the device: ask for what is really free."""
    free, total = _number(match["free"]), _number(match["total"])
    if not free or not total:
        return _smaller(match, backend)
    share = int(max(0.0, free / total - 0.01) * 100) / 100
    return (f"deploy it with --memory-utilization {share:g}: other programs hold part of the GPU",
            Remedy(memory_utilization=share))  # fmt: skip


def _more_static(match: re.Match[str], backend: str) -> tuple[str, Remedy | None]:
    return "deploy it with --memory-utilization 0.92", Remedy(memory_utilization=0.92)


def _say(
    hint: str, remedy: Remedy | None = None
) -> Callable[[re.Match[str], str], tuple[str, Remedy | None]]:
    return lambda match, backend: (hint.replace("ENGINE", backend), remedy)


_UPGRADE = "install a newer ENGINE in its environment, or deploy it with --backend llama.cpp"
_OTHER = "deploy it with another --quantization (see modelscan plan MODEL), or --backend llama.cpp"

_RULES = (
    _Rule("option", re.compile(r"unrecognized arguments:[^\n]*|invalid choice:[^\n]*|"
                               r"error: argument [^\n]*"),
          _say("leave out the --param that this version does not have; modelscan show NAME prints "
               "the command line")),
    _Rule("port", re.compile(r"address already in use|Errno 98|EADDRINUSE|port \d+ is (?:already )?"
                             r"(?:in use|occupied)", re.I),
          _say("choose another --port, or leave it out")),
    _Rule("context", re.compile(
        r"max(?:imum)? (?:model|seq|sequence)\S*(?: seq)? len(?:gth)? \((?P<wanted>[\d,]+)\)[^\n]*?"
        r"\(?(?P<needed>[\d.]+) GiB KV cache is needed[^\n]*?memory \((?P<there>[\d.]+) GiB\)"
        r"(?:[^\n]*?estimated maximum model length is (?P<possible>[\d,]+))?"), _context),
    _Rule("context", re.compile(
        r"max(?:imum)? (?:model|seq|sequence)\S*(?: seq)? len(?:gth)? \([\d,]+\) is larger than "
        r"the maximum number of tokens that can be stored in (?:the )?KV "
        r"cache \((?P<held>[\d,]+)\)"),
          _context),
    _Rule("context", re.compile(
        r"User-specified max_model_len \([\d,]+\) is greater than the derived max_model_len "
        r"\([^)]*?=(?P<possible>[\d,]+)[^)]*\)?"), _context),
    _Rule("memory", re.compile(
        r"Free memory on device[^\n]*?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\)[^\n]*?is less "
        r"than desired GPU memory utilization"), _utilization),
    _Rule("memory", re.compile(r"Not enough memory[^\n]{0,60}try (?:to increase|increasing) "
                               r"[`'-]*mem[-_]fraction[-_]static"), _more_static),
    _Rule("memory", re.compile(r"No available memory for the cache blocks"), _smaller),
    _Rule("memory", re.compile(r"(?:CUDA|HIP) out of memory|torch\.OutOfMemoryError|"
                               r"CUDA error: out of memory|OutOfMemoryError"), _smaller),
    _Rule("memory", re.compile(r"MemoryError|Cannot allocate memory|DefaultCPUAllocator: "
                               r"(?:can't|not enough)"), _smaller),
    _Rule("driver", re.compile(
        r"driver (?:on your system )?is too old|CUDA driver version is insufficient|"
        r"no CUDA-capable device|Found no NVIDIA driver|Failed to infer device type|"
        r"no kernel image is available|forward compatibility was attempted|CUDA unknown error|"
        r"cudaGetDeviceCount\(\)|"
        r"libcuda\.so\.1: cannot open"),
          _say("modelscan doctor   (the GPU's driver does not serve this build of ENGINE)")),
    _Rule("disk", re.compile(r"No space left on device: '/dev/shm[^\n]*"),
          _say("its processes share memory in /dev/shm, which is full: free it, or give the "
               "container a larger one (--shm-size)")),
    _Rule("disk", re.compile(r"No space left on device"),
          _say("free some space on that disk: ENGINE writes compiled kernels when it starts")),
    _Rule("quantization", re.compile(
        r"quantization method \S+ is not supported for the current GPU|Quantization scheme is not "
        r"supported|Unknown quantization method|Invalid quantization method|"
        r"quantization[^\n]{0,80}(?:does not match|is not supported|not currently supported)"),
          _say(_OTHER)),
    _Rule("dtype", re.compile(r"Bfloat16 is only supported on GPUs with compute capability"),
          _say("deploy it with --param dtype=half", Remedy(parameters=(("dtype", "half"),)))),
    _Rule("architecture", re.compile(
        r"Model architectures \[[^\]]*\] (?:are not supported|failed to be inspected)|"
        r"model type `?\S+`? but Transformers does not recognize|"
        r"has no vLLM implementation|Unsupported architectures?|is not a supported architecture|"
        r"Cannot find model module|GGUF model with architecture \S+ is not supported"),
          _say(_UPGRADE)),
    _Rule("split", re.compile(
        r"(?:number of )?attention heads[^\n]*must be divisible by[^\n]*|"
        r"is not divisible by (?:the )?(?:tensor|tp|weight quantization block)|"
        r"World size[^\n]*larger than the number of available GPUs"),
          _say("deploy it with --tensor-parallel 1, 2, 4 or 8: a divisor of its attention heads")),
    _Rule("code", re.compile(r"trust_remote_code=True"),
          _say("this repository wants to run its own code: choose another one, or, if you trust "
               "whoever published it, deploy it with --allow-unsafe")),
    _Rule("files", re.compile(r"Cannot find any model weights|SafetensorError|"
                              r"does not appear to have a file named|Error while deserializing "
                              r"header"),
          _say("the files are damaged or incomplete: modelscan cache verify, then pull it again")),
    _Rule("package", re.compile(r"Failed to find C compiler|"
                                r"No such file or directory: '(?:gcc|cc|nvcc|ninja)'"),
          _say("ENGINE compiles kernels when it starts: install a C compiler (gcc)")),
    _Rule("interconnect", re.compile(r"NCCL error[^\n]*|ncclUnhandled\w+|ncclSystemError"),
          _say("the GPUs cannot talk to each other: deploy it with --tensor-parallel 1, or see "
               "what NCCL says with the variable NCCL_DEBUG=INFO")),
    _Rule("package", re.compile(r"No module named '[\w.]+'|undefined symbol|ImportError: [^\n]*|"
                                r"PackageNotFoundError[^\n]*"),
          _say("the environment of ENGINE is incomplete: install it anew, see docs/engines.md")),
)  # fmt: skip

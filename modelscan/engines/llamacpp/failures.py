"""Why llama.cpp did not start or ended: its error text, and what to try.

Current builds print ``TIME LEVEL text``; builds until late 2025, and those with ``--log-prefix``
off, print the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from modelscan.engines.base import EngineFailure
from modelscan.engines.failure_outside import Outside, outside
from modelscan.engines.failure_rules import Advice, Rule, rule
from modelscan.engines.log_text import last_failure

_LONGEST = 4000  # characters of a line that are looked at
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LEVELLED = re.compile(r"^\s*[\d.]+ (?P<level>[A-Z]) (?P<text>.*)$")
_ERROR_WORDS = re.compile(
    r"\berror\b|\bfail|couldn't|cannot|unable to|unknown|invalid|not found|no such|GGML_ASSERT|"
    r"GGML_ABORT|terminate called|what\(\):|out of memory|bad_alloc|exception|illegal|missing|"
    r"no longer supported|requires flash_attn|segmentation fault|^killed$|\s+killed\s|mismatch|"
    r"no device code|no space left|\berrno\b|ErrorOut|code received: 4",
    re.IGNORECASE,
)
# Text that only repeats that something failed, and settings that have a word of an error in them.
_ECHO = re.compile(
    r"failed to load model|exiting due to|cleaning up before exit|error loading model$|"
    r"failed to initialize (?:the )?(?:context|server)|failed to (?:create|read) (?:context|tensor "
    r"info)|failed to create llama_context|try reducing --n-gpu-layers|unknown argument.*\(ignored|"
    r"terminate called after|\.(?:cu|cpp|m|c):\d+: (?:(?:CUDA|ROCm|MUSA) error|fatal error)$|"
    r"_compute_forward: \w+ failed$|failed to load model from |command buffer \d+ failed with|"
    r"usually due to missing support|GGML_BACKTRACE|"
    r"^(?:print_info|llama_model_loader|load_tensors|system_info|build|load):",
    re.IGNORECASE,
)
_SPACES = re.compile(r"\s+")
# Options are read first, so their errors come before any other line of a start.
_BEGINS = re.compile(
    r"^(?:[\d. ]+I )?(?:build_info: |build: \d+ \()|^error: (?:invalid|unknown) argument|"
    r"^error while handling argument"
)
_PORT = re.compile(r"port:? (\d+)")
_NEWER = "pip install --upgrade xllamacpp   (or install a newer llama-server: "

_TEMPLATE = (
    "this build cannot read the model's chat template: a newer build may, or choose another "
    "template: deploy it with --param chat-template=chatml"
)

RULES = (
    rule("port", r"couldn't bind (?:HTTP )?(?:server )?socket|couldn't bind to server socket|"
         r"[Aa]ddress already in use", "choose another --port, or leave it out"),
    rule("option", r"error: (?:invalid argument|unknown argument|unrecognized)|invalid parameter "
         r"for argument|error while handling argument|expected value for argument",
         "leave out the --param that this build does not have; modelscan show NAME prints the "
         "command line"),
    Rule("option", re.compile(r"V cache quantization requires flash_attn"),
         Advice("deploy it with --flash-attention on, or with --kv-cache f16")),
    rule("option", r"chat template|failed to apply template|common_chat_|"
         r"Unknown statement type|minja", _TEMPLATE),
    rule("package", r"error while loading shared libraries|cannot open shared object file|symbol "
         r"lookup error|version `\w+_[\d.]+' not found",
         "install the library that is named, or unset the program: "
         "modelscan config set llama_server --unset"),
    rule("build", r"no kernel image is available|no device code compatible with|"
         r"CUDA error: invalid device function|MTLLibraryErrorDomain|"
         r"no longer supported, please use a more|wrong number of tensors|invalid ggml type|"
         r"missing tensor|(?:check_tensor_dims|tensor '[^']*') (?:has wrong shape|not found)|"
         r"unsupported (?:GGUF|gguf|model) version|unknown (?:tensor|ggml) type|"
         r"this model uses .* not supported",
         f"{_NEWER}this build is older than the model's file, or has no code for this GPU)"),
    rule("files", r"mismatch between text model|wrong mmproj|failed to load multimodal model",
         "the projector (mmproj) is of another model: put the one of this model next to its file"),
    rule("files", r"LoRA tensor|lora[^\n]{0,40}(?:mismatch|wrong|unexpected)|incompatible adapter",
         "the adapter was made for another model: leave it out, or choose one for this model"),
    rule("architecture", r"unknown model architecture|unknown pre-tokenizer|unsupported model "
         r"architecture|unknown (?:projector|vision) type|unsupported",
         f"{_NEWER}this build does not know the model's architecture)"),
    rule("driver", r"driver version is insufficient|no CUDA-capable device|forward compatibility|"
         r"PTX was compiled with an unsupported toolchain|unsupported display driver|"
         r"IncompatibleDriver|available devices: 0\)",
         "modelscan doctor   (the GPU's driver does not serve this build of llama.cpp)"),
    rule("driver", r"ErrorDeviceLost|DeviceLostError",
         "the GPU's driver reset it (dmesg shows why): deploy it with a smaller --ubatch, or "
         "install a newer driver"),
    rule("interconnect", r"peer access is not supported|\bP2P\b[^\n]{0,40}(?:fail|not supported)",
         "the GPUs cannot read each other's memory: deploy it on one, --gpu 0"),
    rule("memory", r"exceeds device memory allocation limit|exceeds? (?:the )?max(?:imum)? buffer",
         "a buffer is larger than the driver allows: deploy it with a smaller --ubatch (512), or "
         "with less --context"),
    rule("memory",
         r"(?:failed|unable) to allocate|[Ii]nsufficient [Mm]emory|out of memory|buffer of size|"
         r"ErrorOutOf\w+Memory|Cannot allocate memory|"
         r"cudaMalloc failed|bad_alloc|not enough (?:memory|space)|failed to find a memory slot",
         "deploy it with less --context or --parallel, or a smaller --quantization"),
    *outside(Outside(
        "pip install --upgrade xllamacpp   (or install a llama-server for this machine)",
        "modelscan show NAME   (it was not ready in time)")),
    rule("disk", r"[Nn]o space left on device", "free some space on the disk that is named"),
    rule("files", r"illegal split file|must be loaded with the first split",
         "give the first part of the model, the one that ends in -00001-of-N.gguf"),
    rule("files", r"failed to load GGUF split|failed to open GGUF file [^\n]*-\d{5}-of-\d{5}|"
         r"invalid split file|missing split",
         "a part of the model is missing: put all its parts into one folder, or download it again"),
    rule("files", r"tokenizer merges|cannot find tokenizer|error loading model vocabulary",
         "the file was converted without its whole tokenizer: choose another conversion of the "
         "model"),
    rule("files", r"No such file|failed to open GGUF|cannot open (?:model )?file",
         "check that the file still exists, then deploy it again"),
    rule("files", r"invalid magic|bad magic|corrupt|not within the file bounds|failed to read|"
         r"unexpectedly reached end of file|incomplete|key not found in model",
         "the file is damaged or incomplete: download it again"),
)  # fmt: skip
# A device that cannot be used is no failure by itself: the model runs on the others.
_WEAK = ("driver",)


def failure(log: str) -> EngineFailure | None:
    """The first error of the last start that has one (later ones follow from it); None without
    one.
    """
    return last_failure(log, _BEGINS, _of_start)


def _of_start(rows: Sequence[str]) -> EngineFailure | None:
    lines = list(_error_lines(rows))
    found = [(number, text, one) for number, text in lines if (one := _rule(text))]
    strong = [entry for entry in found if entry[2][0].kind not in _WEAK]
    causes = [(number, text) for number, text in lines if not _ECHO.search(text)]
    weak = {number for number, _, one in found if one[0].kind in _WEAK}
    unknown = [(number, text) for number, text in causes if number not in weak]
    if strong:
        return _failure(*strong[0])
    if found and not unknown:
        return _failure(*found[0])
    for number, text in (unknown or lines)[:1]:
        return EngineFailure(text, None, line=number)
    return None


def _failure(number: int, text: str, found: tuple[Rule, re.Match[str]]) -> EngineFailure:
    failure = replace(found[0].failure(text, found[1]), line=number)
    match = _PORT.search(text) if failure.port_taken else None
    return replace(failure, port=int(match[1])) if match else failure


def _rule(text: str) -> tuple[Rule, re.Match[str]] | None:
    rules = (one for one in RULES if one.calls is None)  # it prints no calls
    return next(((one, match) for one in rules if (match := one.pattern.search(text))), None)


def _error_lines(texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Line numbers and texts of errors: by their level where the log has levels, else by their
    words."""
    rows = [_ANSI.sub("", row[:_LONGEST]) for row in texts]
    levels = [_LEVELLED.match(row) for row in rows]
    levelled = any(levels)
    for number, (row, match) in enumerate(zip(rows, levels, strict=True), 1):
        if match is not None:
            is_error, text = match["level"] == "E", match["text"]
        else:
            is_error, text = _ERROR_WORDS.search(row) is not None, row
            is_error = is_error and (not levelled or _ABORT.search(row) is not None)
            is_error = is_error and not _SETTING.match(row.strip())
        if is_error and (clean := _SPACES.sub(" ", text).strip()):
            yield number, clean[:300]


def is_error(row: str) -> bool:
    """Whether a line without a level is an error by its words, and no setting or echo."""
    return (
        _ERROR_WORDS.search(row) is not None
        and not _SETTING.match(row.strip())
        and not _ECHO.search(row)
    )


_ABORT = re.compile(
    r"GGML_ASSERT|GGML_ABORT|terminate called|what\(\):|^error|shared librar|symbol lookup|"
    r"(?:CUDA|ROCm|rocBLAS) error|Illegal instruction|Segmentation fault|^Killed$|\s+Killed\s|"
    r"TensileLibrary", re.IGNORECASE
)  # fmt: skip
_SETTING = re.compile(
    r"(?:print_info|llama_model_loader|load_tensors|system_info|build|warning):?\b"
)

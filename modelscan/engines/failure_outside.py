"""Rules for what no engine causes itself: the hub, rights, the processor, signals, the time."""

from __future__ import annotations

from typing import NamedTuple

from modelscan.engines.failure_rules import Rule, rule

_CONSENT = (
    "accept the conditions on the model's page of the hub, then: "
    "modelscan config set hf_token env:HF_TOKEN"
)
_KILLED = (
    "the system ended it, as it does when memory runs out (dmesg shows it): deploy it with a "
    "smaller --quantization or less --context, or raise the container's memory limit"
)
AMD = (
    "this build has no code for this AMD GPU: install one that lists its gfx number, or set the "
    "variable HSA_OVERRIDE_GFX_VERSION to a relative that it has (10.3.0 for gfx103x, 11.0.0 for "
    "gfx110x)"
)


class Outside(NamedTuple):
    """What helps with one engine: another build of it, and a start that takes too long."""

    build: str
    slow: str


def outside(words: Outside) -> tuple[Rule, ...]:
    """The rules, with the engine's own advice."""
    return (*_hub(), *_rights(), *_processor(words), *_ended(words))


def _hub() -> tuple[Rule, ...]:
    return (
        rule("hub", r"gated repo|GatedRepoError|is restricted\. You must|"
             r"\b(?:401|403) Client Error|status code received: 40[13]\b", _CONSENT),
        rule("hub", r"is not a valid model identifier|RepositoryNotFoundError|"
             r"RevisionNotFoundError|\b404 Client Error|status code received: 404\b",
             "modelscan catalog search TEXT   (the hub has no such repository or file)"),
        rule("hub", r"couldn't connect to 'http|LocalEntryNotFoundError|"
             r"outgoing traffic has been disabled",
             "download it before, where there is a network: modelscan pull MODEL"),
    )  # fmt: skip


def _rights() -> tuple[Rule, ...]:
    return (
        rule("permission", r"/dev/(?:kfd|dri/\w+)\b[^\n]*[Pp]ermission denied",
             "this user may not use the GPU: sudo usermod -aG render,video $USER, then log in "
             "again"),
        rule("permission", r"PermissionError|[Pp]ermission denied",
             "a port below 1024 is for root: choose another --port",
             calls=r"\bbind\(|create_server_socket|bind_socket"),
        rule("permission", r"PermissionError|[Pp]ermission denied",
             "this user may not open what is named: ls -l shows whose it is, chown and chmod "
             "change it"),
    )  # fmt: skip


def _processor(words: Outside) -> tuple[Rule, ...]:
    return (
        rule("build", r"(?:HIP|ROCm|hip) error: invalid device function|TensileLibrary|"
             r"hipErrorNoBinaryForGpu|hipErrorInvalidDeviceFunction|Could not initialize Tensile",
             AMD),
        rule("build", r"[Ii]llegal instruction|\bSIGILL\b|signal:? 4\b|0xc000001d|"
             r"core proc\(s\): \{[^}\n]*: -4\b|[Ee]xit ?code:? ?-4\b|Exec format error",
             f"this build is made for another processor: {words.build}"),
    )  # fmt: skip


def _ended(words: Outside) -> tuple[Rule, ...]:
    return (
        rule("memory", r"core proc\(s\): \{[^}\n]*: -9\b|[Ee]xit ?code:? ?-9\b|\bSIGKILL\b|"
             r"signal:? (?:9\b|killed)|Out of memory: Killed|(?:^|\s)Killed(?:\s|$)", _KILLED),
        rule("crash", r"[Ss]egmentation fault|\bSIGSEGV\b|Segfault encountered|signal:? 11\b|"
             r"0xc0000005|core proc\(s\): \{[^}\n]*: -11\b|[Ee]xit ?code:? ?-11\b|"
             r"illegal memory access|unspecified launch failure|device-side assert|"
             r"misaligned address",
             f"it crashed in its own code: {words.build}"),
        rule("timeout", r"[Tt]imed out waiting for (?:engine core|llama runner|\w+ server)|"
             r"[Ww]atchdog timeout|did not (?:start|become ready) (?:in|within) ", words.slow),
    )  # fmt: skip

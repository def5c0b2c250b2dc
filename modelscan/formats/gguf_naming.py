"""How publishers name the GGUF files of a repository: the quantizations they usually publish and
the paths of their files. Pure.

    >>> expected_files("bartowski/Qwen_Qwen3-8B-GGUF", "Q4_K_M", None)
    ('Qwen_Qwen3-8B-Q4_K_M.gguf',)

Read off 488 published file lists. A result is an expectation: the repository's own list replaces
it, and a name that follows from no publisher's rule has ``known_publisher`` False.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from modelscan.formats.repo_names import owner, short

_STEM = re.compile(r"-(?:i1-)?gguf$", re.IGNORECASE)
_K_QUANTS = "Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K Q8_0"
_IQ2 = "IQ2_XXS IQ2_XS IQ2_S IQ2_M"
_MAX_PARTS_BYTES = 300e9  # above it, publishers fill the parts unevenly


class _Split(NamedTuple):
    """Files above ``above_bytes`` have parts of ``part_bytes`` in ``folder`` (``{q}``: label)."""

    above_bytes: float
    part_bytes: float
    folder: str = ""
    first_is_empty: bool = False  # one part more, without tensors


@dataclass(frozen=True, slots=True)
class _Rule:
    quantizations: str
    separator: str = "-"
    lower: tuple[str, ...] = ()  # labels that are written in lower case
    split: _Split | None = None
    stem: Callable[[str], str] = str
    half: str = "F16"  # the spelling of that label
    four_bit_floats: str = ""  # the label of files whose experts stay in MXFP4


def _without_mtp(name: str) -> str:
    return re.sub(r"-MTP$", "", name)


def _qwen_stem(name: str) -> str:
    """Qwen3-VL-8B -> Qwen3VL-8B; older series in lower case, Qwen 1.5 and 2 without dots."""
    if name.startswith(("Qwen3", "Qwen-3")):
        return name.replace("Qwen3-VL-", "Qwen3VL-")
    lower = name.lower()
    return lower if lower.startswith(("qwen2.5", "qwq")) else lower.replace(".", "_")


_FLOAT = ("F16", "F32", "BF16")
_BARTOWSKI = f"BF16 {_K_QUANTS} Q4_0 Q4_1 IQ4_NL IQ4_XS IQ3_M IQ3_XS IQ3_XXS {_IQ2}"
_I1 = f"IQ1_S IQ1_M {_IQ2} IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_XS Q2_K_S Q4_0 Q4_1 {_K_QUANTS}"
_RULES: dict[str, _Rule] = {
    "unsloth": _Rule(
        "BF16 IQ4_NL IQ4_XS Q3_K_M Q3_K_S Q4_0 Q4_1 Q4_K_M Q4_K_S Q5_K_M Q5_K_S Q6_K Q8_0 "
        "UD-IQ2_M UD-IQ2_XXS UD-IQ3_XXS UD-Q2_K_XL UD-Q3_K_XL UD-Q4_K_XL UD-Q5_K_XL UD-Q6_K_XL "
        "UD-Q8_K_XL",
        split=_Split(50e9, 50e9, "{q}/", first_is_empty=True),
        stem=_without_mtp,
    ),
    "bartowski": _Rule(_BARTOWSKI, lower=_FLOAT, split=_Split(45e9, 40e9, "{stem}-{q}/"),
                       four_bit_floats="MXFP4_MOE"),
    "lmstudio-community": _Rule("Q4_K_M Q6_K Q8_0", split=_Split(45e9, 50e9),
                                four_bit_floats="MXFP4"),
    "ggml-org": _Rule("Q8_0", lower=_FLOAT, four_bit_floats="mxfp4"),
    "mradermacher": _Rule(f"IQ4_XS {_K_QUANTS}", ".", lower=_FLOAT),
    "maziyarpanahi": _Rule(f"{_K_QUANTS} F16", ".", half="fp16"),
    "thebloke": _Rule(f"{_K_QUANTS} Q4_0 Q5_0", ".", stem=str.lower),
    "quantfactory": _Rule(f"{_K_QUANTS} Q4_0 Q4_1 Q5_0 Q5_1", "."),
    "mistralai": _Rule("Q4_K_M Q5_K_M Q8_0"),
    "ibm-granite": _Rule("Q3_K_M Q4_K_M Q6_K Q8_0"),
    "qwen": _Rule("Q4_K_M Q5_0 Q5_K_M Q6_K Q8_0", stem=_qwen_stem),
}  # fmt: skip
_USUAL = _Rule("Q4_K_M Q5_K_M Q6_K Q8_0")  # what nearly every list has
_QWEN_OLD = _Rule(
    "Q2_K Q3_K_M Q4_0 Q4_K_M Q5_0 Q5_K_M Q6_K Q8_0 F16", stem=_qwen_stem,
    lower=("Q2_K", "Q3_K_M", "Q4_0", "Q4_K_M", "Q5_0", "Q5_K_M", "Q6_K", "Q8_0"), half="fp16",
)  # fmt: skip


def known_publisher(repo: str) -> bool:
    """Whether a naming rule of the repository's owner is known."""
    return owner(repo) in _RULES


def labels_four_bit_floats(repo: str) -> bool:
    """Whether the owner publishes files that name MXFP4 in their label."""
    return bool(_rule(repo).four_bit_floats)


def usual_quantizations(repo: str) -> tuple[str, ...]:
    """The labels (upper case) that the owner of a GGUF repository usually publishes.

    In 30 whole lists of unsloth's each label is in half of them or more; Q4_K_M, Q6_K and Q8_0 are
    in nearly all lists of the others.
    """
    if re.search(r"(^|[-_.])QAT([-_.]|$)", short(repo), re.IGNORECASE):
        return ("Q4_0",)
    return tuple(_rule(repo).quantizations.split())


def _rule(repo: str) -> _Rule:
    name = short(repo)
    if owner(repo) == "qwen" and not name.startswith("Qwen3"):
        return _QWEN_OLD
    if owner(repo) == "mradermacher" and name.lower().endswith("-i1-gguf"):
        return _Rule(_I1, ".i1-")
    return _RULES.get(owner(repo), _USUAL)


def expected_files(repo: str, quantization: str, size_bytes: float | None) -> tuple[str, ...]:
    """The paths of one quantization's files; empty where the number of parts cannot be foreseen.

    ``size_bytes``: the expected size (None: small enough for one file).
    """
    rule = _rule(repo)
    label = quantization.lower() if quantization in rule.lower else quantization
    if quantization == "MXFP4":
        label = rule.four_bit_floats
    elif label == "F16":
        label = rule.half
    stem = rule.stem(_STEM.sub("", short(repo)))
    name = f"{stem}{rule.separator}{label}"
    split, size = rule.split, size_bytes or 0.0
    if not label or size > _MAX_PARTS_BYTES or (split is None and size > 45e9):
        return ()
    if split is None or size <= split.above_bytes:
        return (f"{name}.gguf",)
    count = math.ceil(size / split.part_bytes) + split.first_is_empty
    folder = split.folder.format(q=label, stem=stem)
    return tuple(f"{folder}{name}-{k:05d}-of-{count:05d}.gguf" for k in range(1, count + 1))

"""Parses GPU names, so that names from drivers, users and the table can be compared.

``NVIDIA A100-SXM4-80GB``, ``a100 80gb`` and ``A100 SXM4 80 GB`` have the core ``a100``; memory
size, form factor and laptop are separate fields, because they change the numbers. Pure functions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Words that do not identify the chip.
_NOISE = {
    "nvidia", "amd", "ati", "intel", "apple", "corporation", "corp", "inc", "gpu", "gpus", "card",
    "graphics", "generation", "with", "w", "design", "edition", "workstation", "series", "oam",
    "hgx", "advanced", "micro", "devices", "device", "accelerator", "developer", "kit", "chip",
    "superchip", "vf", "engineering", "reference",
}  # fmt: skip
# Brands that users leave out; they only decide between equal matches.
_SOFT = frozenset({
    "geforce", "quadro", "tesla", "radeon", "instinct", "grid", "rtx", "gtx", "rx", "gt", "arc",
    "data", "center", "jetson",
})  # fmt: skip
_MOBILE = frozenset({"laptop", "mobile", "notebook", "maxq"})
_FORM = re.compile(r"^(sxm\d?|pcie|nvl|dgxs)$")
# nvidia-smi's table cuts long names: A100-SXM..., V100-PCI..., H100 80GB HBM...
_CUT_FORM = re.compile(r"(sxm\d?|pci|hbm\d?)e?\.{3}$")
_MEMORY_TYPE = re.compile(r"^(hbm\d?e?|gddr\d\w?)$")
_WATTS = re.compile(r"^\d+(\.\d+)?w$")  # variants of one laptop chip
_SIZE = re.compile(r"(?<![\w.])(\d{1,9}(?:\.\d{1,9})?)\s*(gib|gb|g|mib|mb)(?![\w.])")
_PREFIXED = re.compile(r"^(rtx|gtx|rx|gt)(\d{3,4}\w*)$")
_SUFFIXED = re.compile(r"^(\d{3,4})(ti|super|xtx|xt|gre)(ti|super)?$")
_MAC = re.compile(r"(?<!\w)(macbook( pro| air)?|mac (mini|studio|pro)|imac)(?!\w)")
# Short forms of suffixes: 4080S, 4070TiS, 4090D, 4090M.
_SHORT = re.compile(r"(?<!\w)((?:rtx|gtx)?[ -]?\d{4})[ -]?(ti)?[ -]?([sdm])(?!\w)", re.IGNORECASE)
_LONG = {"s": " SUPER", "d": " D", "m": " Laptop GPU"}
# A part of a card: a MIG profile, or a vGPU's ``-48Q``.
_VGPU = re.compile(r"-(\d{1,3}[qcab])(?!\w)")
_MIG = re.compile(r"(?<!\w)(?:mig[ -]?)?(\d+g\.\d+gb(?:\+\w+)*)(?!\w)")


@dataclass(frozen=True, slots=True)
class Name:
    """A parsed GPU name.

    ``core``: its words, joined by spaces; other fields are None if not in the name.
    """

    core: str
    soft: frozenset[str] = frozenset()
    memory_gib: float | None = None
    form: str | None = None
    memory_type: str | None = None
    mobile: bool = False
    max_q: bool = False
    mig: str | None = None  # a part of the card: 1g.10gb, or 48q of a vGPU


def parse_name(text: str) -> Name:
    """Parse a name; any text is accepted, the core may be empty."""
    plain, mig = _without_share(_lowered(text))
    plain = re.sub(r"[-_/,:;()\[\]|]+", " ", plain)
    size = next((m for m in _SIZE.finditer(plain) if _is_size(m)), None)
    words = _words(plain.replace(size.group(0), " ", 1) if size else plain)
    return Name(
        core=" ".join(word for word in words if not _set_aside(word)),
        soft=frozenset(words) & _SOFT,
        memory_gib=_gib(size) if size else None,
        form=_first(_FORM, words),
        memory_type=_first(_MEMORY_TYPE, words),
        mobile=not _MOBILE.isdisjoint(words),
        max_q="maxq" in words,
        mig=mig,
    )


def _lowered(text: str) -> str:
    """Lower case, with spellings of Max-Q, Macs and cut-off form factors normalized."""
    lowered = re.sub(r"[®™]|\((r|tm|nvgpu)\)", " ", text.lower()[:200])
    lowered = _MAC.sub(" ", re.sub(r"max-?\s?q\b", "maxq", lowered))
    return _CUT_FORM.sub(lambda m: "pcie" if m[1] == "pci" else m[1], lowered)


def _without_share(text: str) -> tuple[str, str | None]:
    """The name of the whole card, and the MIG profile or vGPU part."""
    share = _MIG.search(text) or _VGPU.search(text)
    return (text.replace(share.group(0), " "), share.group(1)) if share else (text, None)


def _first(pattern: re.Pattern[str], words: list[str]) -> str | None:
    return next((word for word in words if pattern.match(word)), None)


def spelled_out(text: str) -> str:
    """The name with its suffix in the vendor's spelling: ``4080S`` -> ``4080 SUPER``."""
    return _SHORT.sub(
        lambda m: m[1] + (" Ti" if m[2] else "") + _LONG[m[3].lower()], text[:200]
    )  # fmt: skip


def _is_size(match: re.Match[str]) -> bool:
    """True for ``24g``; False for ``580g`` (a card's name) and ``0gb``."""
    amount = float(match.group(1))
    return amount > 0 and (match.group(2) != "g" or amount <= 288)


def _gib(match: re.Match[str]) -> float:
    amount = float(match.group(1))
    return amount / 1024 if match.group(2).startswith("m") else amount


def _set_aside(word: str) -> bool:
    return (
        word in _NOISE
        or word in _SOFT
        or word in _MOBILE
        or bool(_FORM.match(word) or _MEMORY_TYPE.match(word) or _WATTS.match(word))
    )


def _words(text: str) -> list[str]:
    words: list[str] = []
    for word in re.findall(r"[^\s]+", text):
        prefixed = _PREFIXED.match(word)
        parts = list(prefixed.groups()) if prefixed else [word]
        suffixed = _SUFFIXED.match(parts[-1])
        if suffixed:
            parts[-1:] = [part for part in suffixed.groups() if part]
        words.extend(parts)
    return words


def bracketed(text: str) -> list[str]:
    """The products in a PCI database name.

    ``Navi 22 [Radeon RX 6700/6700 XT / 6800M]`` -> RX 6700, RX 6700 XT, RX 6800M.
    """
    match = re.search(r"\[([^\]]{1,160})\]", text)
    if not match:
        return [text]
    inside = [part.strip() for part in match.group(1).split("/") if part.strip()]
    if not inside:
        return [text]
    brand = re.match(r"^(.*?)(?=\S*\d)", inside[0])
    prefix = brand.group(1) if brand else ""
    return [inside[0], *(part if re.match(r"[A-Za-z]{3}", part) else prefix + part
                         for part in inside[1:])]  # fmt: skip

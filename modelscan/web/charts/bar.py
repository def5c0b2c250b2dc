"""Memory bars: what a device holds by part, against what is free on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from modelscan.core.estimate import DeviceEstimate, Parts
from modelscan.web.words import bare, gib, size

PARTS = (
    ("weights", "Weights"), ("kv_cache", "KV cache"), ("compute", "Compute buffers"),
    ("runtime", "Driver and runtime"), ("pool", "Reserved for more requests"),
)  # fmt: skip
PATTERNS = {
    "kv_cache": "hatch", "runtime": "stripes", "pool": "dots", "other": "stripes",
    "promised": "hatch", "expected": "hatch", "unused": "dots",
}  # fmt: skip
_LABEL_SHARE, _FREE_SHARE, _TALL = 8.0, 18.0, 24
# Of a hundredth of a wide bar, and of a phone's; of a letter.
_LONG_PIXELS, _PHONE_PIXELS, _LETTER = 10.5, 3.4, 7.6


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a bar: its class, its name, its bytes."""

    kind: str
    name: str
    size: float


def grouped(parts: Parts, budget_bytes: int | None = None) -> dict[str, int]:
    """An estimate's parts as the four that people ask about, and what an engine with a memory pool
    reserves beyond them; in bytes.
    """
    return {
        "weights": parts.weights_bytes + parts.vision_bytes,
        "kv_cache": parts.kv_cache_bytes + parts.recurrent_state_bytes,
        "compute": parts.compute_bytes + parts.output_bytes + parts.cuda_graph_bytes,
        "runtime": parts.non_torch_bytes + parts.other_bytes,
        "pool": max(0, budget_bytes - parts.total_bytes) if budget_bytes else 0,
    }


def pieces_of(device: DeviceEstimate) -> list[Piece]:
    """A device's share of an estimate."""
    groups = grouped(device.parts, device.budget_bytes)
    return [Piece(key, label, groups[key]) for key, label in PARTS if groups[key]]


def memory_bar(
    name: str, pieces: Sequence[Piece], capacity: float, *, height: int = 30,
    scale: float | None = None, limited: bool = True, named: bool = False,
) -> Markup:  # fmt: skip
    """One device: its parts next to each other, and a line at its capacity where they exceed it.

    ``scale``: the bytes of the whole width, for bars that are compared with each other.
    ``limited`` False: ``capacity`` is no limit, only what is there. ``named``: with the names of
    the parts, where a wide bar has room for them.
    """
    total = sum(piece.size for piece in pieces)
    width = scale or max(capacity, total) or 1
    drawn, at = [], 0.0
    for piece in pieces:
        share = 100 * piece.size / width
        drawn += _piece(piece, at, share, height, named=named)
        at += share
    edge = 100 * capacity / width
    if not limited:
        pass
    elif total > capacity:
        drawn.append(_rect("", edge, at - edge, height, ' fill="url(#over)"'))
    elif edge - at >= _FREE_SHARE and height >= _TALL:
        drawn.append(_label("free", at + (edge - at) / 2, height, f"{bare(capacity - total)} free"))
    if edge < 99.9 and limited:
        drawn.append(f'<line class="limit" x1="{edge:.3f}%" x2="{edge:.3f}%" y2="{height}"/>')
    track = f'<rect class="track" width="{min(100.0, max(edge, at)):.3f}%" height="{height}"/>'
    label = escape(f"{name}: {sentence(pieces, capacity if limited else None)}")
    return Markup(
        f'<svg class="bar" width="100%" height="{height}" role="img" aria-label="{label}">'
        f"{track}{''.join(drawn)}</svg>"
    )


def sentence(pieces: Iterable[Piece], capacity: float | None) -> str:
    """What a bar shows, in words."""
    rows = [piece for piece in pieces if piece.size]
    total = sum(piece.size for piece in rows)
    named = ", ".join(f"{piece.name.lower()} {size(piece.size)}" for piece in rows)
    if capacity is None:
        return f"{named or 'nothing'}; {size(total)} in all"
    left = capacity - total
    rest = f"{gib(left)} GiB free" if left >= 0 else f"{gib(-left)} GiB too much"
    return f"{named or 'nothing'}; {gib(total)} of {gib(capacity)} GiB, {rest}"


def _piece(piece: Piece, at: float, share: float, height: int, *, named: bool = False) -> list[str]:
    if share <= 0:
        return []
    out = [_rect(f"part {piece.kind}", at, share, height)]
    if piece.kind in PATTERNS:
        out.append(_rect("", at, share, height, f' fill="url(#{PATTERNS[piece.kind]})"'))
    if height < _TALL:
        return out
    middle, words = at + share / 2, f"{piece.name} {bare(piece.size)}"
    long = named and share * _LONG_PIXELS >= _LETTER * len(words) + 10
    if long:
        out.append(_label(f"in {piece.kind} long", middle, height, words))
    number = bare(piece.size)
    phone = share * _PHONE_PIXELS >= _LETTER * len(number)
    if share >= _LABEL_SHARE and (phone or not long):
        kind = f"in {piece.kind}{' short' if long else '' if phone else ' long'}"
        out.append(_label(kind, middle, height, number))
    return out


def _rect(kind: str, at: float, share: float, height: int, more: str = "") -> str:
    name = f'class="{kind}" ' if kind else ""
    return f'<rect {name}x="{at:.3f}%" width="{share:.3f}%" height="{height}"{more}/>'


def _label(kind: str, at: float, height: int, words: str) -> str:
    return f'<text class="{kind}" x="{at:.3f}%" y="{height / 2 + 4.5:.1f}">{escape(words)}</text>'


def small_bar(used: float | None, capacity: float | None) -> Markup:
    """How full a card gets, in a table's cell; the number is next to it."""
    share = min(100.0, 100 * (used or 0) / capacity) if capacity else 0.0
    kind = "over" if used is not None and capacity and used > capacity else "fits"
    return Markup(
        '<svg class="mini" width="100%" height="8" aria-hidden="true">'
        '<rect class="track" width="100%" height="8" rx="2"/>'
        f'<rect class="{kind}" width="{share:.1f}%" height="8" rx="2"/></svg>'
    )


def swatch(kind: str) -> Markup:
    """The square of a part in a legend."""
    square = 'width="14" height="14" rx="2"'
    over = f'<rect {square} fill="url(#{PATTERNS[kind]})"/>' if kind in PATTERNS else ""
    own = "track" if kind == "track" else f"part {kind}"
    return Markup(
        f'<svg width="14" height="14" aria-hidden="true"><rect class="{own}" {square}/>{over}</svg>'
    )


def alike(devices: Sequence[DeviceEstimate]) -> list[tuple[str, int, DeviceEstimate]]:
    """Devices in order, neighbours with equal sizes together: (indices, number, one of them)."""
    groups: list[tuple[list[int], tuple[str, ...], DeviceEstimate]] = []
    for device in devices:
        values = grouped(device.parts, device.budget_bytes).values()
        look = (*map(gib, values), gib(device.free_bytes))
        if groups and groups[-1][1] == look:
            groups[-1][0].append(device.index or 0)
        else:
            groups.append(([device.index or 0], look, device))
    return [(_range(indices), len(indices), device) for indices, _, device in groups]


def _range(indices: Sequence[int]) -> str:
    return f"{indices[0]}–{indices[-1]}" if len(indices) > 1 else f"{indices[0]}"


def legend(pieces: Iterable[Piece]) -> Mapping[str, Piece]:
    """The parts of several bars, each once."""
    return {piece.kind: piece for piece in pieces if piece.size}

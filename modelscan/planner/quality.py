"""Quality loss of a weight format from measured perplexity, never from a fixed order.

The measurements are in ``catalogs/quality.tsv`` (one source per row), which the caller reads.
Formats without a measurement are interpolated by bits per weight and marked so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from modelscan.core.plan import Quality, QualityMeasurement
from modelscan.formats.quantization import bits_per_weight, canonical

QualityTable = Mapping[str, tuple[float, Quality]]
_LOSSLESS_BITS = 16.0
# GPTQ's published figures are of Llama 2, which loses about half as much as Llama 3 in the same
# format (llama.cpp's tools/perplexity/README.md has both): AWQ's row has the same bits and groups.
_RELATIVE = {"FP8-BLOCK": "FP8", "GPTQ-INT8": "W8A16", "INT4": "AWQ", "BNB-8BIT": "INT8",
             "GPTQ-INT4": "AWQ", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "Q3_K": "Q3_K_M"}  # fmt: skip


def parse_quality(text: str) -> dict[str, tuple[float, Quality]]:
    """``catalogs/quality.tsv`` as format -> (bits per weight, Quality)."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    header = lines[0].split("\t")
    table = {}
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=True))
        quality = Quality(
            loss=max(0.0, float(row["loss"])),
            basis="measured",
            source=row["source"],
            model=row["model"],
            kl_divergence=float(row["kl"]) if row["kl"] else None,
        )
        table[str(canonical(row["quantization"]))] = (float(row["bits"]), quality)
    return table


def quality_of(
    quantization: str | None, table: QualityTable, *, original: str | None = None
) -> Quality:
    """The quality of a format; ``original`` is the format the model was published in (loss 0).

    Converting an original of few bits to 16 bits neither adds nor loses information: loss 0.
    """
    name = canonical(quantization)
    if name is None:
        return Quality(0.0, "unknown")
    if name == canonical(original):
        return Quality(0.0, "original")
    if name in ("BF16", "FP32"):
        return Quality(0.0, "upcast" if _has_fewer_bits(original) else "original")
    row = table.get(name) or table.get(_RELATIVE.get(name, ""))
    return row[1] if row else _interpolated(name, table)


def _has_fewer_bits(original: str | None) -> bool:
    bits = bits_per_weight(canonical(original))
    return bits is not None and bits < _LOSSLESS_BITS


def _interpolated(name: str, table: QualityTable) -> Quality:
    bits = bits_per_weight(name)
    if bits is None:
        return Quality(1.0, "unknown")
    if bits >= _LOSSLESS_BITS or not table:
        return Quality(0.0 if bits >= _LOSSLESS_BITS else 2.0 ** -(bits - 1), "interpolated")
    points = sorted((width, quality.loss) for width, quality in table.values())
    below = [point for point in points if point[0] <= bits]
    above = [point for point in points if point[0] >= bits]
    if not below or not above:
        return Quality(points[0][1] if not below else points[-1][1], "interpolated")
    (low, worse), (high, better) = below[-1], above[0]
    share = 0.0 if high == low else (bits - low) / (high - low)
    return Quality(worse + share * (better - worse), "interpolated")


def with_measurements(
    quality: Quality,
    quantization: str | None,
    measurements: Sequence[QualityMeasurement],
    table: QualityTable,
) -> Quality:
    """The quality of a format of a model that was measured on this machine, the newest first.

    The loss is that of the reference's format plus the measured divergence: a mean divergence of
    the next token is close to ln(perplexity ratio), as the rows of ``catalogs/quality.tsv`` that
    have both show. Lossless formats stay so.
    """
    name = canonical(quantization)
    if name is None or quality.basis in ("original", "upcast"):
        return quality
    for one in measurements:
        if canonical(one.quantization) == name:
            base = quality_of(one.reference, table)
            return Quality(
                loss=base.loss + one.kl_divergence,
                basis="measured",
                source=f"modelscan eval show {one.eval_id}",
                model=one.models[0] if one.models else None,
                kl_divergence=one.kl_divergence,
                measurement=one,
            )
    return quality


def _percent(value: float) -> str:
    """Two significant digits, never an exponent."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}"


def describe(quality: Quality) -> str:
    """The quality as a phrase for a reason."""
    if quality.measurement is not None:
        return _measured_here(quality.measurement)
    if quality.basis == "original":
        return "no loss (the published precision)"
    if quality.basis == "upcast":
        return "no loss, but no gain: the model was published in fewer bits"
    change = f"perplexity +{_percent(100 * math.expm1(quality.loss))} %"
    if quality.basis == "measured":
        return f"{change} measured on {quality.model}"
    if quality.basis == "interpolated":
        return f"about {change} (interpolated by bits per weight)"
    return "quality unknown"


def _measured_here(one: QualityMeasurement) -> str:
    return (
        f"measured here on this model: the same next token as {one.reference} at "
        f"{_percent(100 * one.agreement)} % of {one.positions} positions, "
        f"divergence {one.kl_divergence:.2g} (95 %: {one.kl_lower:.2g} to {one.kl_upper:.2g})"
    )

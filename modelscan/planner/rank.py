"""The order of the options that fit: one cost per option, the sum of terms that the reasons can
name.

The unit is arbitrary; what matters is the exchange rate, chosen by judgement: 1 % of perplexity
weighs 0.1, halving the context below the target 0.15, halving the speed below a comfortable reading
speed 0.35 and below a brisk one 0.05, leaving part of the model in host memory 0.3. The results are
in tests/planner/golden.tsv.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.units import GIB
from modelscan.engines.registry import engine
from modelscan.formats.quantization import bits_per_weight

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.core.workload import Workload
    from modelscan.planner.context import Option
    from modelscan.planner.feasibility import FittingOption

COMFORTABLE_TOKENS_PER_S = 10.0  # a person reads about 5 to 8 tokens a second
BRISK_TOKENS_PER_S = 40.0  # beyond it, only servers benefit

_LOSS = 10.0
_CONTEXT_HALVED = 0.15
_SPEED_HALVED = 0.3
_BRISK_HALVED = 0.05
_OFFLOAD = {"none": 0.0, "partial": 0.3, "cpu": 0.6}
# Prompts are processed by copying what host memory holds to the GPU, once for each part of them.
_STREAMED_DOUBLED, _STREAMED_BYTES = 0.06, 8 * GIB
_WITHIN_MARGIN = 0.2
_SLOTS_HALVED = 0.1
_ASKED_SLOTS_HALVED = 1.0  # the user set this context: a cache with room for all requests wins
_DEVICES_DOUBLED = 0.005  # of two equal options, the one that leaves devices free
_SPLIT_DOUBLED = 0.1  # llama.cpp's layers run in turn on several GPUs: no faster than one
_SERVER_CARD_BYTES = 40 * GIB  # cards built to serve many requests at once
_NO_BATCHING = 0.3  # llama.cpp on such a card
_POOL_HALVED = 0.07  # there, a pool with room for less than so many requests of full length
_POOL_REQUESTS = 4.0
_RECIPE = -0.05  # the catalog's maintainers publish a recipe for it
_WEIGHT_ONLY = 0.01
# A format made for arithmetic that the card lacks gains memory, not speed: FP8, and NVFP4, where
# people start an integer format of the same size. (Its perplexity and that of AWQ were measured on
# different models: at equal size they lose about the same.)
_FLOAT_WEIGHT_ONLY, _FOUR_BITS_WEIGHT_ONLY = 0.05, 0.25
_EMULATED = 0.5  # no kernel for the format: whatever else is there is what people run
_ONLINE = 0.05  # quantized while loading: every start reads and converts the 16-bit weights
TIGHT_SHARE = 0.87  # of the free memory: what is beyond costs, as it leaves no room for a longer
# context, another program or a second model; the whole device beyond would cost this:
_TIGHTNESS = 1.25
_EXPECTED = 0.02  # the file's name and size are predicted, not listed
_UPCAST = 0.1  # more bytes than the model was published in, for nothing
_PUBLISHERS = {"maker": 0.0, "evaluator": 0.03, "known": 0.03, "other": 0.1}
# Off the loss of a format whose publisher calibrated it on this model and states its scores.
_EVALUATED = 0.1
_SMALL_CACHE = 0.01  # besides its perplexity: losses grow with the length of the context


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an option as named terms; the smallest sum wins."""

    terms: tuple[tuple[str, float], ...]

    @property
    def total(self) -> float:
        """The sum of all terms."""
        return sum(value for _, value in self.terms)

    @property
    def largest(self) -> str:
        """The name of the largest term; empty without terms."""
        return max(self.terms, key=lambda term: term[1])[0] if self.terms else ""


def floor(option: Option, wishes: Workload, offload: str = "none") -> float:
    """The least cost of an option under ``--goal quality``, before it is estimated."""
    return (
        _quality(option)
        + _OFFLOAD[offload]
        + _DEVICES_DOUBLED * math.log2(max(1, len(option.gpus)))
        + _engine(option, wishes)
    )


def cost(fitting: FittingOption, wishes: Workload) -> Cost:
    """The cost of an option that fits, under ``--goal`` and ``--mode``."""
    speed = fitting.estimate.speed.decode_tokens_per_s if fitting.estimate.speed else None
    context = max(1, fitting.estimate.context_tokens)
    terms = {
        "quality": _quality(fitting.option),
        "cache": _small_cache(fitting),
        "context": _CONTEXT_HALVED * max(0.0, math.log2(fitting.target_tokens / context)),
        "speed": _slowness(speed),
        "offload": _OFFLOAD[fitting.offload] + _streaming(fitting),
        "margin": _WITHIN_MARGIN if fitting.within_margin else 0.0,
        "room": _crowding(fitting),
        "slots": max(_waiting(fitting, wishes), _small_pool(fitting)),
        "devices": _DEVICES_DOUBLED * math.log2(max(1, len(fitting.option.gpus))),
        "engine": _engine(fitting.option, wishes),
    }
    if wishes.goal == "speed" or wishes.mode == "latency":
        terms["speed"] = -math.log2(speed) if speed else 0.0
    if wishes.goal == "context":
        terms["context"] = -math.log2(context)
        terms["quality"] /= 2
    return Cost(tuple(terms.items()))


def _quality(option: Option) -> float:
    """The cost of the format, of an upcast, and of a publisher without documented methods."""
    candidate = option.candidate
    quality = candidate.quality
    value = _PUBLISHERS[candidate.publisher] + (_ONLINE if candidate.online else 0.0)
    if candidate.variant.listing == "expected":
        value += _EXPECTED
    if quality is None:
        return value
    if quality.basis == "upcast":
        return value + _UPCAST
    lost = _LOSS * quality.loss
    return value + lost - (min(_EVALUATED, lost / 2) if _evaluated(option) else 0.0)


def _evaluated(option: Option) -> bool:
    """Whether the publisher's own scores are those of the arithmetic that the card does."""
    candidate = option.candidate
    if candidate.publisher == "maker":
        return not candidate.online
    emulates = option.support.kind == "weight_only" and _needs_arithmetic(option)
    return candidate.publisher == "evaluator" and not emulates


def _small_cache(fitting: FittingOption) -> float:
    """The cost of a KV cache that the planner, not the user, put into fewer bits."""
    if not fitting.small_cache:
        return 0.0
    return _SMALL_CACHE + _LOSS * engine(fitting.option.backend).small_cache.loss


def _crowding(fitting: FittingOption) -> float:
    """The cost of full devices, for engines that allocate what they use and no pool."""
    if fitting.offload != "none" or engine(fitting.option.backend).reserves_pool:
        return 0.0
    shares = [
        device.total_bytes / device.free_bytes
        for device in fitting.estimate.per_gpu
        if device.free_bytes
    ]
    return _TIGHTNESS * max(0.0, max(shares, default=0.0) - TIGHT_SHARE)


def _waiting(fitting: FittingOption, wishes: Workload) -> float:
    """The cost of requests that must wait because the KV cache has no room for all of them."""
    concurrency = fitting.estimate.max_concurrency
    if not fitting.crowded or not concurrency:
        return 0.0
    rate = _ASKED_SLOTS_HALVED if wishes.context_tokens else _SLOTS_HALVED
    return rate * math.log2(max(1.0, fitting.estimate.parallel / concurrency))


def _small_pool(fitting: FittingOption) -> float:
    """The cost of a pool that weights leave little room for, on cards that serve many."""
    concurrency = fitting.estimate.max_concurrency
    if not engine(fitting.option.backend).reserves_pool or not concurrency:
        return 0.0
    if not _is_server_card(fitting.option.gpus):
        return 0.0
    context = max(1, fitting.estimate.context_tokens)
    requests = concurrency * context / min(context, fitting.target_tokens)
    return _POOL_HALVED * max(0.0, math.log2(_POOL_REQUESTS / requests))


def _streaming(fitting: FittingOption) -> float:
    """The cost of prompts, by the weights that a GPU needs and host memory holds."""
    host = fitting.estimate.host
    if fitting.offload != "partial" or host is None:
        return 0.0
    return _STREAMED_DOUBLED * max(
        0.0, math.log2(max(1, host.parts.weights_bytes) / _STREAMED_BYTES)
    )


def _slowness(speed: float | None) -> float:
    if speed is None or speed <= 0:
        return 0.0
    comfortable = max(0.0, math.log2(COMFORTABLE_TOKENS_PER_S / speed))
    brisk = max(0.0, math.log2(BRISK_TOKENS_PER_S / speed))
    return _SPEED_HALVED * comfortable + _BRISK_HALVED * brisk


def _engine(option: Option, wishes: Workload) -> float:
    """The engine's cost: recipes and service mode outweigh the default order of engines."""
    one = engine(option.backend)
    value = one.preference
    if option.recommended:
        value += _RECIPE
    if not one.reserves_pool:
        value += _llamacpp_on(option.gpus)
    if wishes.mode == "throughput" and not one.reserves_pool:
        value += 0.3  # llama.cpp's batching is limited
    if option.drawback is not None:
        value += option.drawback.cost
    if option.support.kind == "weight_only":
        value += _weight_only(option)
    if option.support.emulated:
        value += _EMULATED
    return value


def _weight_only(option: Option) -> float:
    if _four_bit_floats(option):
        return _FOUR_BITS_WEIGHT_ONLY
    return _FLOAT_WEIGHT_ONLY if _needs_arithmetic(option) else _WEIGHT_ONLY


def _four_bit_floats(option: Option) -> bool:
    return (option.candidate.variant.quantization or "").startswith("NVFP4")


def _needs_arithmetic(option: Option) -> bool:
    bits = bits_per_weight(option.candidate.variant.quantization)
    return _four_bit_floats(option) or (bits is not None and 8 <= bits < 16)


def _llamacpp_on(gpus: tuple[Gpu, ...]) -> float:
    """The cost of what llama.cpp leaves unused of large or several GPUs."""
    if not gpus or gpus[0].unified_memory:
        return 0.0
    batching = _NO_BATCHING if _is_server_card(gpus) else 0.0
    return batching + _SPLIT_DOUBLED * math.log2(len(gpus))


def _is_server_card(gpus: tuple[Gpu, ...]) -> bool:
    return (
        bool(gpus)
        and not gpus[0].unified_memory
        and (gpus[0].memory_bytes or 0) >= _SERVER_CARD_BYTES
    )


def order(fitting: FittingOption, wishes: Workload) -> tuple[float, float, int, str, str]:
    """A total, stable order: cost, then memory, then names."""
    variant = fitting.option.candidate.variant
    return (
        round(cost(fitting, wishes).total, 6),
        fitting.estimate.total_bytes,
        len(fitting.option.gpus),
        fitting.option.backend,
        f"{variant.repo}/{variant.quantization}",
    )

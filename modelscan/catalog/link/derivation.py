"""Decides from a stated base and the names whether a repository has another model's weights.

Only a quantization of a model has its weights. A fine-tune, merge, adapter, abliteration or
distillation is a model of its own, also if its card states a base. Hubs derive the relation from the
card, and cards are copied, so a stated ``quantized`` must agree with the names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.formats.repo_names import key, owner, short, split_repo_name, tokens

if TYPE_CHECKING:
    from modelscan.catalog.curated import Curated

QUANTIZED = "quantized"
CONVERSION = "conversion"  # stated by a list of a model's conversions, not by the repository's card
OTHER_WEIGHTS = frozenset({"finetune", "merge", "adapter"})
# Words for changed weights in a repository's name.
_CHANGED = frozenset(
    """
    abl abliterate abliterated abliteration ablated uncensored decensored unfiltered unaligned heretic
    obliterated josiefied roleplay rp erp nsfw lewd merge merged merges mergekit slerp ties dare
    passthrough frankenmerge frankenstein moerge distill distilled distillation pruned prune reap
    depth pruning sft dpo orpo kto grpo ppo rlhf rlvr finetune finetuned tuned tune tunes qlora lora
    adapter dora peft hermes dolphin magnum euryale stheno lunaris cydonia rocinante anubis roguelike
    medical medicine legal law finance translator translation pirate creative writer writing novel
    """.split()
)
# Words for a packing of the same weights, besides those that ``split_repo_name`` removes.
_PACKING = frozenset(
    """
    gguf ggml ggufs mlx onnx ov openvino mlc q4f16 q4f32 q0f16 q0f32 exl exl2 exl3 bpw h6 h8 awq gptq
    bnb nf4 int4 int8 int fp4 fp8 fp16 bf16 f16 f32 fp32 bf fp f nvfp mxfp nvfp4 mxfp4 w4a16 w8a8 w
    quant quants quantized imatrix imat i1 i iq q k m s l xl xs xxs nl kv kvcache cache block dynamic
    static torchao autoround auto round inc marlin act actorder sym asym group g size safetensors hf
    pytorch tensorrt trt trtllm rtn hqq aqlm smoothquant calibrated bit bits b gs ud qat split sharded
    mtp vision text only ct ct2 ctranslate2 ctranslate faster litert tflite coreml qnn npu gpu cpu
    instruct it chat compressed tensors per tensor channel tensorwise modelopt quark unsloth llama cpp v a
    """.split()
)
_NUMBER = re.compile(r"^\d+$")


def has_weights_of(base: str, repo: str, relation: str | None, known: Curated) -> bool:
    """True if ``repo``, for which a source states this base and relation, has the base's weights.

    ``relation``: the hub's word (quantized, finetune, merge, adapter), ``conversion`` if a list of
    the base's conversions names the repository, or None if only the card names the base.
    Hubs call a repository a fine-tune if they do not recognize its quantization, so a name that is
    the base's name with a quantization suffix is also accepted.
    """
    if relation in ("merge", "adapter"):
        return False
    name = split_repo_name(short(repo))
    if key(name.base) == key(short(base)):
        return relation != "finetune" or name.derived or owner(repo) in known.converters
    if relation == "finetune":
        return False
    added = _added_words(base, repo, known)
    if _CHANGED.intersection(tokens(short(repo))) - set(tokens(short(base))):
        return False
    if relation == CONVERSION:
        return True
    if added is None:
        return False
    is_known = known.official(repo) or owner(repo) in known.converters
    unknown = [word for word in added if word not in _PACKING and not _NUMBER.match(word)]
    return not unknown or is_known


def has_other_weights(repo: str, relation: str | None, known: Curated) -> bool:
    """True if a stated relation makes ``repo`` a model of its own, whatever its name is.

    A converter's unchanged copy is called a fine-tune by the hub; its name decides.
    """
    if relation == "finetune":
        copied = owner(repo) in known.converters or split_repo_name(short(repo)).derived
        return not copied
    return relation in OTHER_WEIGHTS


def _added_words(base: str, repo: str, known: Curated) -> list[str] | None:
    """The words of the repository's name that the base's name lacks, without the maker's name; None
    if the base's words are not all in it, in order (except ``hf``).
    """
    expected = [word for word in key(short(base)).split() if word != "hf"]
    orgs = known.orgs.get(known.lab_of_repo(base) or "", ())
    makers = {word for name in (owner(base), *orgs, "meta", "nvidia") for word in tokens(name)}
    added: list[str] = []
    for word in tokens(short(repo)):
        if expected and word == expected[0]:
            expected.pop(0)
        elif word not in makers:
            added.append(word)
    return None if expected else added

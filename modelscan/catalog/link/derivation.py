"""Decides from a stated base and the names whether a repository has another model's weights.

Only a quantization of a model has its weights. A fine-tune, merge, adapter, abliteration or
distillation is a model of its own, also if its card states a base. Hubs derive the relation from
the card, and cards are copied, so a stated ``quantized`` must agree with the names.
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
    if known.derived_words.intersection(tokens(short(repo))) - set(tokens(short(base))):
        return False
    if relation == CONVERSION:
        return True
    if added is None:
        return False
    is_known = known.official(repo) or owner(repo) in known.converters
    unknown = [
        word for word in added if word not in known.packing_words and not _NUMBER.match(word)
    ]
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

"""The nearest names of a mistyped one."""

from __future__ import annotations

from modelscan.catalog.index.layout import bundled_index
from modelscan.catalog.index.read import Index
from modelscan.catalog.index.search_words import letters
from modelscan.core.nearest import nearest


def resembling(text: str, ids: list[str]) -> list[str]:
    """As the catalog asks for a model that it does not know."""
    return nearest(text, ids, limit=5, cutoff=0.7, spelled=letters)


def _typos(name: str, at: int) -> list[str]:
    """A letter left out, one too many, two swapped."""
    swapped = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    return [name[:at] + name[at + 1 :], name[:at] + name[at:][:1] + name[at:], swapped]


def test_a_name_with_one_typo_is_among_the_nearest() -> None:
    with Index(bundled_index()) as index:
        ids = index.all_ids()
    long_enough = [one for one in ids if len(one.rpartition("/")[2]) > 4]
    for number, one in enumerate(long_enough[::60]):
        short = one.rpartition("/")[2]
        for typo in _typos(short, number % (len(short) - 1)):
            assert one in resembling(typo, ids), typo


def test_the_nearest_comes_first_and_nonsense_has_none() -> None:
    ids = ["a/qwen3.8-27b", "a/qwen3-8b", "b/llama-3-8b"]
    assert resembling("qwen3-8bb", ids)[0] == "a/qwen3-8b"
    assert resembling("Qwen/Qwen3-8BB", ids)[0] == "a/qwen3-8b"
    assert resembling("zzqqxxyy", ids) == resembling("", ids) == resembling("x", ids) == []


def test_few_names_need_no_letters_in_pairs() -> None:
    assert nearest("ab", ["ba", "xy"], cutoff=0.5) == ["ba"]
    assert nearest("TASK", ["chat", "tasks"]) == ["tasks"]
    assert nearest("nothing", ["chat", "tasks"]) == []
    assert nearest("a1", ["a2", "a3", "a4"], limit=2, cutoff=0.5) == ["a2", "a3"]
    assert nearest("4900", ["4010", "4060", "4090"]) == ["4090"]
    assert nearest("4091", ["4010", "4090"]) == ["4090"]

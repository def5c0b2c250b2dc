"""Every suite: references pass, stubs and planted wrong answers fail, data are what they claim."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from modelscan.core.errors import UsageError
from modelscan.evals.items import CodeResult, EvalItem, ModelAnswer, SuiteRequest, ToolRequest
from modelscan.evals.suites import coding, documents, release, review, structured, tools
from modelscan.evals.suites.long_context import levels_up_to
from modelscan.evals.suites.planted import REFERENCE, planted_answers, stub
from modelscan.evals.suites.reader import one_line, read_data
from modelscan.evals.suites.registry import SUITES, find_suite, suite_hash

UNSANDBOXED = [kind for kind in SUITES.values() if not kind.runs_code]
REQUEST = SuiteRequest(seed=7, context_tokens=8192)


@pytest.mark.parametrize("kind", SUITES.values(), ids=lambda kind: kind.name)
def test_a_suite_has_thirty_different_tasks(kind: Any) -> None:
    suite = kind.make(REQUEST)
    assert len(suite.items) >= 30
    assert len({item.id for item in suite.items}) == len(suite.items)
    assert len({item.prompt for item in suite.items}) == len(suite.items)
    assert all(item.wrong for item in suite.items)


@pytest.mark.parametrize("kind", UNSANDBOXED, ids=lambda kind: kind.name)
def test_references_pass_and_everything_else_fails(kind: Any) -> None:
    for item in kind.make(REQUEST).items:
        for label, answer in planted_answers(kind, item):
            grade = kind.grade(item, answer, None)
            if label == REFERENCE:
                assert grade.value == 1.0, (item.id, grade.reason)
            else:
                assert grade.value < 0.5, (item.id, label, grade.reason)


def test_the_same_seed_gives_the_same_suite() -> None:
    make = SUITES["long_context"].make
    assert suite_hash(make(REQUEST)) == suite_hash(make(REQUEST))
    assert suite_hash(make(REQUEST)) != suite_hash(make(SuiteRequest(8, 8192)))
    assert suite_hash(make(REQUEST)) != suite_hash(make(SuiteRequest(7, 16384)))
    assert suite_hash(tools.make(REQUEST)) == suite_hash(tools.make(SuiteRequest(9, 1)))


def test_an_unknown_suite_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_suite("codng")
    assert caught.value.details["nearest"] == ["coding"]
    assert find_suite("docs").name == "documents"
    assert find_suite("long-context").name == "long_context"


def item_of(kind: str, name: str) -> EvalItem:
    return next(item for item in SUITES[kind].make(REQUEST).items if item.id == name)


# Long context


@pytest.mark.parametrize(
    ("served", "levels"),
    [
        (None, (4096,)), (2048, (2048,)), (4096, (4096,)), (8191, (4096,)),
        (8192, (4096, 8192)), (131072, (4096, 8192, 16384, 32768, 65536, 131072)),
    ],
)  # fmt: skip
def test_levels_end_at_the_served_context(served: int | None, levels: tuple[int, ...]) -> None:
    assert levels_up_to(served) == levels


@pytest.mark.parametrize("served", [600, 2048, 8192, 32768])
def test_texts_stay_below_their_level_and_have_the_fact_at_its_depth(served: int) -> None:
    for item in SUITES["long_context"].make(SuiteRequest(7, served)).items:
        assert len(item.prompt) <= max(600, (item.data["tokens"] - 400) * 4)
        if item.data["kind"] == "needle":
            text = item.prompt.partition("\n\nQuestion:")[0]
            place = text.index(item.data["answer"]) / len(text)
            assert abs(place - item.data["depth"]) < (0.12 if served > 600 else 0.2)
            assert text.count(item.data["answer"]) == 1


@pytest.mark.parametrize(
    ("served", "texts", "items"), [(4096, 2, 30), (8192, 2, 30), (900, 30, 30)]
)
def test_all_questions_of_a_length_are_about_one_text(served: int, texts: int, items: int) -> None:
    made = SUITES["long_context"].make(SuiteRequest(7, served)).items
    prompts = [item.prompt.partition("\n\nQuestion:")[0] for item in made]
    assert len(made) == items
    # One after another: a server that keeps a prompt reads each text once.
    assert len(list(itertools.groupby(prompts))) == len(set(prompts)) == texts


def test_only_a_suite_about_one_text_lets_the_server_reuse_prompts() -> None:
    assert [kind.name for kind in SUITES.values() if kind.repeats_text] == [
        "documents",
        "long_context",
    ]


@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        ("needle", "{}", 1.0), ("needle", "The secret number of the tower is {}.", 1.0),
        ("needle", "{} or 12", 0.0), ("needle", "1{}", 0.0), ("needle", "{}" + " x" * 200, 0.0),
        ("multi_hop", "{} has the golden key.", 1.0), ("multi_hop", "**{}**", 1.0),
        ("multi_hop", "Mira, Olaf, Nadia, Piet or {}", 0.0), ("ordering", "First {}.", 1.0),
        ("needle", "It is not {}", 0.0), ("multi_hop", "Anyone but {}", 0.0), ("multi_hop", "It isn't {}", 0.0),
        ("ordering", "{}, pink", 1.0), ("ordering", "", 0.0),
    ],
)  # fmt: skip
def test_recall_is_graded_and_not_form(kind: str, form: str, value: float) -> None:
    suite = SUITES["long_context"].make(REQUEST)
    item = next(one for one in suite.items if one.data["kind"] == kind)
    answer = ModelAnswer(form.format(item.data["answer"]))
    assert SUITES["long_context"].grade(item, answer, None).value == value


# Documents and release: the answers follow from the files


def test_links_and_commands_of_the_tree() -> None:
    tree: dict[str, str] = read_data("documents")["tree"]
    for item in read_data("documents")["items"]:
        if item["kind"] != "link" or "does not exist" not in item["question"]:
            continue
        page = item["page"]
        folder = page.rpartition("/")[0]
        broken = []
        for target in re.findall(r"\]\(([^)]+)\)", tree[page]):
            parts = [p for p in f"{folder}/{target.partition('#')[0]}".split("/") if p]
            path: list[str] = []
            for part in parts:
                path = path[:-1] if part == ".." else [*path, part]
            if "/".join(path) not in tree:
                broken.append(target)
        assert (broken or ["NONE"]) == [item["answer"]], item["id"]


def test_accepted_values_are_in_the_tree() -> None:
    everything = "\n".join(read_data("documents")["tree"].values()).casefold()
    names = " ".join(read_data("documents")["tree"]).casefold()
    for item in read_data("documents")["items"]:
        if item["answer"] not in ("NONE", "yes", "no", "0", "4"):
            assert item["answer"].casefold() in everything + names, item["id"]


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def codes_of(files: dict[str, Any]) -> set[str]:
    """The rules of the system prompt, computed."""
    tag, sections = files["tag"][1:], files["changelog"]
    own = [one for one in sections if one["version"] == tag]
    numbered = [one for one in sections if one["version"] != "Unreleased"]
    later = [(a, b) for n, a in enumerate(numbered) for b in numbered[n + 1 :]]
    headings = {key for one in own for key in one} - {"version", "date"}
    below = sections[sections.index(own[0]) + 1 :] if own else []
    major = bool(below) and version(tag)[0] > version(below[0]["version"])[0]
    found = {
        "PYPROJECT": files["pyproject"] != tag,
        "MODULE": files["module"] != tag,
        "MISSING": not own,
        "ORDER": any(
            version(a["version"]) <= version(b["version"])
            for a, b in itertools.pairwise(numbered)
        ),
        "DATES": any(b["date"] > a["date"] for a, b in later),
        "EMPTY": bool(own) and not headings,
        "SEMVER": bool(below)
        and ((bool(headings & {"Removed", "Breaking"}) and not major)
             or (headings == {"Fixed"} and major)),
    }  # fmt: skip
    return {code for code, applies in found.items() if applies}


def test_release_answers_follow_from_the_rules() -> None:
    data = read_data("release")
    for row in data["items"]:
        assert codes_of({**data["base"], **row["set"]}) == set(row["answer"]), row["id"]


def test_every_release_code_is_tested() -> None:
    used = {code for row in read_data("release")["items"] for code in row["answer"]}
    assert used == set(release.CODES)


def test_defects_are_on_new_lines_and_clean_changes_exist() -> None:
    rows = read_data("review")["items"]
    for row in rows:
        lines = row["diff"].split("\n")
        assert all(lines[places[-1] - 1].startswith("+") for places in row["defects"]), row["id"]
    assert sum(not row["defects"] for row in rows) >= 5
    assert any(len(row["defects"]) == 2 for row in rows)


# Forms of answers that are right, and neighbors that are not


@pytest.mark.parametrize(
    "text",
    [
        "2: skips a page",
        "- 2: x",
        "Line 2: x",
        "pager.py:2: x",
        "`2`: x",
        "**2**: x",
        "L2: x",
        "2 \u2014 x",
        "(2) x",
    ],
)
def test_forms_of_a_finding(text: str) -> None:
    assert review.findings(text) == {2}
    assert review.grade(item_of("review", "off-by-one-slice"), ModelAnswer(text), None).value == 1.0


def test_a_report_of_every_line_has_full_recall_and_little_precision() -> None:
    item = item_of("review", "off-by-one-slice")
    grade = review.grade(item, ModelAnswer("\n".join(f"{n}: x" for n in range(1, 11))), None)
    assert grade.counts == {"seeded": 1, "found": 1, "reported": 10, "right": 1}
    assert grade.value == pytest.approx(2 * 0.1 / 1.1)


@pytest.mark.parametrize("text", ["NONE", " none.", "**NONE**"])
def test_forms_of_no_finding(text: str) -> None:
    assert review.grade(item_of("review", "clean-sum"), ModelAnswer(text), None).value == 1.0


def test_none_next_to_a_finding_is_no_clean_report() -> None:
    text = "NONE\nBut line 2 divides by zero."
    assert review.grade(item_of("review", "clean-sum"), ModelAnswer(text), None).value == 0.0


def test_a_number_with_a_separator_is_the_number() -> None:
    item = next(
        one for one in SUITES["long_context"].make(REQUEST).items if one.data["kind"] == "needle"
    )
    text = f"{int(item.data['answer']):,}"
    assert SUITES["long_context"].grade(item, ModelAnswer(text), None).value == 1.0


@pytest.mark.parametrize(
    "text", ["7070", "\u201c7070\u201d", " `7070` ", "7070.", "```\n7070\n```", "'7070'"]
)
def test_forms_of_a_value(text: str) -> None:
    assert documents.grade(item_of("documents", "fact-port"), ModelAnswer(text), None).value == 1.0


@pytest.mark.parametrize("text", ["", "7070 or 8080", "It is 7070", "70", "7070\n8080", "707O"])
def test_other_values_fail(text: str) -> None:
    assert documents.grade(item_of("documents", "fact-port"), ModelAnswer(text), None).value == 0.0


def test_one_line_keeps_options() -> None:
    assert one_line("--no-images") == "--no-images"


@pytest.mark.parametrize(
    ("text", "value"),
    [("PYPROJECT, MODULE", 1.0), ("module,pyproject", 1.0), ("MODULE", 0.0), ("NONE", 0.0),
     ("NONE, PYPROJECT, MODULE", 0.0), ("The codes PYPROJECT, MODULE apply", 0.0), ("", 0.0)],
)  # fmt: skip
def test_forms_of_codes(text: str, value: float) -> None:
    assert release.grade(item_of("release", "both-old"), ModelAnswer(text), None).value == value


def call(name: str, **arguments: Any) -> ModelAnswer:
    return ModelAnswer("", (ToolRequest(name, arguments),))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (call("convert_currency", amount=250.0, from_currency="eur", to_currency="USD"), 1.0),
        (call("convert_currency", amount="250", from_currency="EUR", to_currency="USD"), 0.0),
        (call("convert_currency", amount=250, from_currency="EUR"), 0.0),
        (call("convert_currency", amount=250, from_currency="EUR", to_currency="USD", x=1), 0.0),
        (call("convert_currency", amount=True, from_currency="EUR", to_currency="USD"), 0.0),
        (ModelAnswer("convert_currency(250, EUR, USD)"), 0.0),
    ],
)
def test_calls(answer: ModelAnswer, value: float) -> None:
    assert tools.grade(item_of("tools", "currency-eur-usd"), answer, None).value == value


def test_no_call_is_the_models_failure() -> None:
    grade = tools.grade(item_of("tools", "timer-minutes"), ModelAnswer("Done."), None)
    assert (grade.value, grade.failure) == (0.0, "no_tool_call")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"name": "Lena Brandt", "age": 34, "city": "Graz"}', 1.0),
        ('```json\n{"city": "Graz", "age": 34, "name": "Lena Brandt"}\n```', 1.0),
        ('{"name": "Lena Brandt", "age": 34.0, "city": "Graz"}', 1.0),
        ('{"name": "lena brandt", "age": 34, "city": "Graz"}', 0.0),
        ('Here: {"name": "Lena Brandt", "age": 34, "city": "Graz"}', 0.0),
        ('{"name": "Lena Brandt", "age": 34, "city": NaN}', 0.0),
        ('{"name": "Lena Brandt", "age": 33, "age": 34, "city": "Graz"}', 0.0),
        ('```JSON\n{"name": "Lena Brandt", "age": 34, "city": "Graz"}\n```', 1.0),
        ("[" * 5000, 0.0),
    ],
)  # fmt: skip
def test_json_answers(text: str, value: float) -> None:
    assert (
        structured.grade(item_of("structured", "person-1"), ModelAnswer(text), None).value == value
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\na = 1\n```", "a = 1\n"), ("```py\na\n```\ntext\n```\nb\n```", "b\n"),
        ("def f(): pass", "def f(): pass"), ("```python\nunclosed", "unclosed"),
        ("```PYTHON\r\nx\r\n```", "x\n"), ("~~~python\nx\n~~~", "x\n"), ("```{.python}\nx\n```", "x\n"),
        ("1. so:\n   ```python\n   x = 1\n   ```", "x = 1\n"), ("```python3.12\nx\n```", "x\n"),
        ("```python\ndef f(): pass\n```\nUse:\n```python\nprint(f())\n```", "def f(): pass\n"),
        ("```python\nf = abs\n```\n```console\n$ f = 1\n```", "f = abs\n"), ("```bash\nls\n```", ""),
    ],
)  # fmt: skip
def test_code_of_an_answer(text: str, code: str) -> None:
    assert coding.extract_code(text, "f") == code


@pytest.mark.parametrize(
    "results", ["[" * 100_000, '[{"value": 1e999}]', '[{"value": 1' + "0" * 400 + "}]"]
)
def test_odd_results_of_a_program_are_wrong(results: str) -> None:
    result = CodeResult(f"mark:{results}\n", "", "exited", 0)
    assert coding.compare(result, "mark:", [2.5]).value == 0.0


def test_the_stub_calls_a_tool_where_there_are_some() -> None:
    assert stub(item_of("tools", "none-joke")).calls
    assert stub(item_of("release", "both-old")) == ModelAnswer("")

"""Functions with unit tests: the code runs in a sandbox, its results are compared outside it.

The sandbox never has the expected results, and the exit code decides nothing: a program that ends
early, prints a forged line or overrides a comparison has no results that could be right.
"""

from __future__ import annotations

import json
import re
import secrets
import textwrap
from collections.abc import Sequence
from typing import Any

from modelscan.evals.items import (
    CodeResult,
    EvalItem,
    EvalSuite,
    Grade,
    ModelAnswer,
    RunCode,
    SuiteRequest,
    TaskFailure,
    failed,
    passed,
)
from modelscan.evals.suites.json_values import same
from modelscan.evals.suites.reader import read_data, suite_of

_BLOCK = re.compile(
    r"^[ \t]*(```+|~~~+)([^\n`]*)\n(.*?)(?:^[ \t]*\1|```|\Z)", re.DOTALL | re.MULTILINE
)
_LANGUAGE = re.compile(r"[ \t]*\{?\.?(?:python[\d.]*|py)?\b", re.IGNORECASE)

# Runs in the sandbox. Standard input: one line with the mark, the function's name and the lists of
# arguments, then the solution's text. Standard output: the mark and the results as JSON. Other
# programs are barred here, since no limit of processes holds for root.
DRIVER = """\
import json, sys, types
mark, name, calls = json.loads(sys.stdin.readline())
source = sys.stdin.read()
barred = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec", "subprocess.Popen"}
def watch(event, _, barred=frozenset(barred)):
    if event in barred:
        raise PermissionError("no other program may be started here")
sys.addaudithook(watch)
del watch
write, dump = sys.__stdout__.write, json.dumps
module = types.ModuleType("solution")
sys.modules["solution"], space = module, module.__dict__
exec(compile(source, "solution.py", "exec"), space)
results = []
for arguments in calls:
    try:
        results.append({"value": space[name](*arguments)})
    except Exception as error:
        results.append({"error": type(error).__name__})
write("\\n" + mark + dump(results) + "\\n")
sys.__stdout__.flush()
"""


def make(_: SuiteRequest) -> EvalSuite:
    """The suite."""
    data = read_data("coding")
    return suite_of(data, map(_item, data["items"]))


def _item(row: dict[str, Any]) -> EvalItem:
    wrong = [row["wrong"], *_cheats(row["function"])]
    return EvalItem(
        id=row["id"],
        prompt=f"Write the Python function {row['prompt']}",
        reference=_code(row["solution"]),
        wrong=tuple(map(_code, wrong)),
        data={"function": row["function"], "cases": row["cases"]},
    )


def _code(text: str) -> ModelAnswer:
    return ModelAnswer(f"```python\n{text}```\n")


def _cheats(function: str) -> tuple[str, ...]:
    """Programs that pass a careless grader: an early end, and a forged line of results."""
    early = "import os\nos._exit(0)\n"
    forged = (
        "import os, sys\n"
        "for n in range(40):\n"
        "    sys.__stdout__.write('\\n[' + '{\"value\": true},' * n + '{\"value\": true}]\\n')\n"
        "sys.__stdout__.flush()\n"
        "os._exit(0)\n"
    )
    equal = (
        "class Same(dict):\n"
        "    def __eq__(self, other):\n"
        "        return True\n"
        f"def {function}(*arguments):\n"
        "    return Same()\n"
    )
    return early, forged, equal


def grade(item: EvalItem, answer: ModelAnswer, run: RunCode | None) -> Grade:
    """Run the code of the answer and compare its results with the expected ones."""
    if run is None:
        raise ValueError("coding needs a sandbox")
    source = extract_code(answer.text, item.data["function"])
    if not source.strip():
        return failed("the answer has no code", "refused")
    mark = f"results-{secrets.token_hex(16)}:"
    calls = [arguments for arguments, _ in item.data["cases"]]
    head = json.dumps([mark, item.data["function"], calls])
    result = run(DRIVER, f"{head}\n{source}")
    return compare(result, mark, [expected for _, expected in item.data["cases"]])


def extract_code(text: str, function: str) -> str:
    """The last code block that defines the function, else the last one, else the whole text."""
    found = _BLOCK.findall(text.replace("\r\n", "\n"))
    blocks = [textwrap.dedent(code) for _, name, code in found if _is_python(name)]
    if not blocks:
        return "" if found else text
    defines = re.compile(rf"^(?:async +)?(?:def +)?{re.escape(function)}\b *[(=:]", re.MULTILINE)
    return next(filter(defines.search, reversed(blocks)), blocks[-1])


def _is_python(name: str) -> bool:
    """Whether a block's first line names Python, or nothing."""
    return not name.strip() or (_LANGUAGE.match(name) or [""])[0].strip(" \t{.") != ""


def compare(result: CodeResult, mark: str, expected: Sequence[Any]) -> Grade:
    """The grade of a program's output; only lines with the mark of this run count."""
    if result.end == "timeout":
        return failed("the program did not end in time", "timeout")
    lines = [line for line in result.stdout.splitlines() if line.startswith(mark)]
    if len(lines) != 1:
        failure: TaskFailure = "crash"
        cause = result.stderr.strip().splitlines()[-1:] or ["it ended without results"]
        return failed(f"{len(lines)} lines of results: {cause[0][:200]}", failure)
    try:
        results = json.loads(lines[0].removeprefix(mark))
    except (ValueError, RecursionError):
        return failed("the results are no JSON", "crash")
    if not isinstance(results, list) or len(results) != len(expected):
        return failed("the number of results is wrong", "crash")
    for number, (one, value) in enumerate(zip(results, expected, strict=True), 1):
        if not isinstance(one, dict) or "value" not in one or not same(one["value"], value):
            shown = json.dumps(one)[:200]
            return failed(f"case {number}: {shown} instead of {json.dumps(value)[:200]}")
    return passed(f"{len(expected)} of {len(expected)} cases")

"""Send small tasks to a fast model and the rest to another one, by what the gateway has measured.

    python examples/offload.py "Name three colours."

It needs a running `modelscan serve` (OPENAI_BASE_URL, default http://127.0.0.1:8900/v1) and the
package `openai`. `suitability` of each model is in GET /v1/models.
"""

from __future__ import annotations

import os
import sys

import openai

SMALL = 200  # characters; an assistant knows better which of its tasks are small
ORDER = {
    "small": ("good_for_low_complexity", "usable_for_background_tasks", "unknown"),
    "large": ("usable_for_background_tasks", "available_but_slow", "good_for_low_complexity",
              "unknown"),
}  # fmt: skip


def choose(client: openai.OpenAI, task: str) -> str:
    """The first model of the best class that there is for the task."""
    found: dict[str, str] = {}
    for model in client.models.list():
        facts = model.model_dump()["modelscan"]
        if facts["kind"] == "provider" and facts["operation"] in (None, "chat"):
            found.setdefault(facts["suitability"], model.id)
    for kind in ORDER["small" if len(task) <= SMALL else "large"]:
        if kind in found:
            return found[kind]
    raise SystemExit("no model can be used now: modelscan route health")


def main() -> None:
    task = " ".join(sys.argv[1:]) or "Name three colours."
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8900/v1")
    client = openai.OpenAI(base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    name = choose(client, task)
    answer = client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": task}], max_tokens=100
    )
    print(f"{name}: {answer.choices[0].message.content}")


if __name__ == "__main__":
    main()

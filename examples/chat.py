"""Ask a model of the routing file with the openai library: python examples/chat.py [NAME]"""

from __future__ import annotations

import subprocess
import sys

import yaml
from openai import OpenAI


def entry(name: str | None) -> dict[str, str]:
    """The entry of that name in the routing file; the default one without a name."""
    path = subprocess.run(
        ["modelscan", "config", "get", "routing_file"], capture_output=True, text=True, check=True
    ).stdout.strip()
    with open(path) as stream:
        direct = yaml.safe_load(stream)["routing"]["direct"]
    provider_name = name or direct["default_provider"]
    return next(provider for provider in direct["providers"] if provider["name"] == provider_name)


def main() -> None:
    route = entry(sys.argv[1] if len(sys.argv) > 1 else None)
    client = OpenAI(base_url=route["base_url"] + "/v1", api_key="unused")
    stream = client.chat.completions.create(
        model=route.get("served_model", route["model"]),
        messages=[{"role": "user", "content": "What is modelscan?"}],
        temperature=0,
        stream=True,
    )
    for chunk in stream:
        sys.stdout.write(chunk.choices[0].delta.content or "")
        sys.stdout.flush()
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

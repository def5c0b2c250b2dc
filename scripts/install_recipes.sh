#!/bin/sh
# Install what the recipes quantize, peft and merge pin, into .cache/recipes/venv (1.5 GB).
# PyTorch is its build for the CPU where the index has one, else the ordinary one (several GB).
set -eu
cd "$(dirname "$0")/.."
venv=.cache/recipes/venv
pins=$(.venv/bin/python -c '
from scripts.check_recipes import pins, scripts
every = {}
for name in ("quantize", "peft", "merge", "gguf"):
    every |= pins(scripts()[name])
print(" ".join(f"{k}=={v}" for k, v in every.items() if k != "torch"))
print(every["torch"])')
torch=$(echo "$pins" | tail -n 1)
packages=$(echo "$pins" | head -n 1)
[ -x "$venv/bin/python" ] || .venv/bin/python -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
if ! "$venv/bin/python" -c 'import torch; torch.ones(1)' 2>/dev/null; then
    pip install --force-reinstall --no-deps "torch==$torch+cpu" 2>/dev/null ||
        echo "the index has no build of torch $torch for the CPU: its ordinary one follows" >&2
    pip install "torch==$torch"
fi
# shellcheck disable=SC2086 # a list of words
pip install $packages

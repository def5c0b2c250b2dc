#!/bin/sh
# Ask a deployment one question: examples/chat.sh [NAME] [QUESTION]
set -eu
name=${1:-demo}
question=${2:-What is modelscan?}
endpoint=$(modelscan show "$name" --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["deployment"]["endpoint"])')
body=$(python3 -c 'import json, sys; print(json.dumps({"model": sys.argv[1], "temperature": 0,
    "messages": [{"role": "user", "content": sys.argv[2]}]}))' "$name" "$question")
curl --silent --show-error --fail "$endpoint/v1/chat/completions" \
    -H 'Content-Type: application/json' -d "$body" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["message"]["content"])'

#!/bin/sh
# The main job on the bundled model, from its name to a chat answer. Everything it makes lives in a
# temporary MODELSCAN_HOME; at the end (also after Ctrl-C) the engine is stopped and it is removed.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh local

MODELSCAN_HOME=$(mktemp -d "${TMPDIR:-/tmp}/modelscan-demo.XXXXXX")
export MODELSCAN_HOME
PATH="$PWD/.venv/bin:$PATH"
export PATH

cleanup() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP # make passes a signal on: the second must not stop the clean-up
    modelscan remove --all --yes --quiet >/dev/null 2>&1 || true
    rm -rf "$MODELSCAN_HOME"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run modelscan catalog search demo
run modelscan gpu
run modelscan estimate demo --context 1024
run modelscan plan demo --context 1024
run modelscan deploy demo --context 1024 --yes
endpoint=$(modelscan show demo 2>/dev/null | awk '$1 == "endpoint" { print $2 }')

question='What is modelscan?'
printf '\n$ curl %s/v1/chat/completions  # "%s"\n' "$endpoint" "$question"
python - "$endpoint" "$question" <<'PY'
import json, signal, sys, urllib.request

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C: the shell's trap has the word
endpoint, question = sys.argv[1:]
body = {"model": "demo", "messages": [{"role": "user", "content": question}], "temperature": 0}
request = urllib.request.Request(
    f"{endpoint}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
)
with urllib.request.urlopen(request, timeout=60) as answer:
    print(json.load(answer)["choices"][0]["message"]["content"])
PY

run modelscan list
printf '\n$ cat %s\n' "\$(modelscan config get routing_file)"
cat "$(modelscan config get routing_file)"
run modelscan route test demo
run modelscan stop demo
run modelscan remove demo --yes
run modelscan list
printf '\ndone: everything the demo made is gone\n'

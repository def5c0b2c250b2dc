#!/bin/sh
# Real assistants for make test-clients, into .cache/clients; done once.
set -eu
folder=.cache/clients
[ -f "$folder/.done" ] && exit 0
mkdir -p "$folder"
npm install --silent --no-fund --no-audit --prefix "$folder" \
  opencode-ai @openai/codex @anthropic-ai/claude-code @continuedev/cli \
  @modelcontextprotocol/inspector@0.21.1
for client in llm aider-chat; do
  python3 -m venv "$folder/$client"
  "$folder/$client/bin/pip" install --quiet --disable-pip-version-check "$client"
done
touch "$folder/.done"

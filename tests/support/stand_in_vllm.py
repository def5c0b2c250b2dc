"""A ``vllm`` that really answers: the demo model behind llama.cpp's own server.

    stand_in_vllm.py serve MODEL --host H --port P --served-model-name NAME [any other option]

Whatever MODEL is, the file in $STAND_IN_GGUF is served. A model's ``env`` on the server can ask
for trouble: FAIL_WITH=CODE (says what vLLM says when memory runs out, and ends), START_AFTER=S.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", default=None)
    parser.add_argument("--runner", default="generate")
    options, others = parser.parse_known_args()
    print(f"stand-in engine for {options.model}, not looked at: {others}", flush=True)
    print("HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz012345", flush=True)  # must never be shown
    time.sleep(float(os.environ.get("START_AFTER", "0")))
    if "FAIL_WITH" in os.environ:
        print("torch.OutOfMemoryError: CUDA out of memory (pretended)", file=sys.stderr, flush=True)
        return int(os.environ["FAIL_WITH"])
    return serve(options)


def serve(options: argparse.Namespace) -> int:
    import xllamacpp

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    settings = xllamacpp.CommonParams()
    settings.model.path = os.environ["STAND_IN_GGUF"]
    settings.model_alias = {options.served_model_name or options.model}
    settings.hostnames, settings.port = [options.host], options.port
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers = 1024, 2, 0
    settings.cpuparams.n_threads = 1
    settings.cache_ram_mib = 0
    settings.endpoint_metrics = True
    if options.runner == "pooling":
        settings.embedding = True
    server = xllamacpp.Server(settings)
    print(f"ready on {server.listening_address}", flush=True)
    ended.wait()
    del server
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

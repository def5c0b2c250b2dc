"""A llama-server of any age: its options are read from its help, ours are put into its words."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deployments import plan

from modelscan.core.errors import UsageError
from modelscan.engines.base import Serving
from modelscan.engines.llamacpp.server_help import adapt, devices, parse_help
from modelscan.supervisor.launch.llama_server import known_options
from modelscan.supervisor.launch.llamacpp import LlamaCppLauncher

# Written in the layout of ``llama-server --help`` (one column of names, one of text).
OLD = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
-m,    --model FNAME                    model path (default: models/7B/model.gguf)
-c,    --ctx-size N                     size of the prompt context (default: 4096)
-np,   --parallel N                     number of parallel sequences to decode
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
-ngl,  --gpu-layers, --n-gpu-layers N   number of layers to store in VRAM
-ot,   --override-tensor <pattern>=<buffer type>,...
                                        override tensor buffer type
--no-mmap                               do not memory-map model
--mlock                                 force system to keep model in RAM
-ctk,  --cache-type-k TYPE              KV cache data type for K
-a,    --alias STRING                   set alias for model name
--host HOST                             ip address to listen
--port PORT                             port to listen
--embedding, --embeddings               restrict to only support embedding use case
--reranking, --rerank                   enable reranking endpoint on server
--pooling {none,mean,cls,last,rank}     pooling type for embeddings
--metrics                               enable prometheus compatible metrics endpoint
--no-webui                              Disable the Web UI (default: enabled)
-lv,   --verbosity, --log-verbosity N   set the verbosity threshold
"""
NEW = OLD.replace(
    "-fa,   --flash-attn                     enable",
    "-fa,   --flash-attn [on|off|auto]       set",
).replace("number of layers to store in VRAM", "exact number, 'auto' or 'all'").replace(
    "--no-mmap                               do not memory-map model",
    "-lm,   --load-mode MODE                 auto, none, mmap, mlock\n"
    "-ncmoe, --n-cpu-moe N                   experts of the first N layers\n"
    "--fit [on|off]                          change what does not fit\n"
    "-cram, --cache-ram N                    host prompt cache\n"
    "--no-repack                             no weight repacking",
).replace("--no-webui ", "--no-ui ")  # fmt: skip

OURS = ("--model", "/m", "--ctx-size", "512", "--n-gpu-layers", "all", "--cache-ram", "0", "--fit",
        "off", "--no-ui", "--no-repack", "--flash-attn", "on", "--load-mode", "none",
        "--n-cpu-moe", "1", "--verbosity", "4", "--cors-origins", "")  # fmt: skip


def test_the_help_is_read() -> None:
    known = parse_help(OLD)
    assert (known["c"].written, known["ctx-size"].written) == ("-c", "--ctx-size")
    assert known["ngl"].takes_value
    assert not known["fa"].takes_value
    assert parse_help(NEW)["flash-attn"].takes_value
    assert known["pooling"].takes_value
    assert "fit" not in known
    assert parse_help("not a help") == {}


def test_an_old_build() -> None:
    words = list(adapt(OURS, parse_help(OLD)))
    experts = words.pop(words.index("--override-tensor") + 1)
    assert experts.startswith("blk") and experts.endswith("exps=CPU")
    assert " ".join(words) == (
        "--model /m --ctx-size 512 --n-gpu-layers 999 --no-webui --flash-attn --no-mmap "
        "--override-tensor --verbosity 4"
    )
    assert "--flash-attn" not in adapt(("--flash-attn", "auto"), parse_help(OLD))


def test_a_new_build_gets_them_as_they_are() -> None:
    words = adapt(OURS, parse_help(NEW))
    assert words == tuple(word for word in OURS if word not in ("--cors-origins", ""))


@pytest.mark.parametrize("words", [("--jinja-mode", "3"), ("--swa-full",), ("-ub", "64")])
def test_what_a_build_cannot_do_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="this llama-server has no option"):
        adapt(words, parse_help(OLD))


def test_a_launch_speaks_the_programs_words(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{OLD}EOF\n")
    program.chmod(0o755)
    assert known_options(str(program)) is not None
    serving = Serving("/m.gguf", "127.0.0.1", 4, "n", binary=str(program))
    given = plan(gpus=(0,), parameters=("--n-gpu-layers", "all", "-fa", "on"))
    argv = LlamaCppLauncher().launch(given, serving).argv
    assert argv[argv.index("--n-gpu-layers") + 1] == "999"
    assert "-fa" in argv
    assert argv[argv.index("-fa") + 1 :][:1] != ("on",)
    assert not {"--fit", "--cache-ram", "--cors-origins", "--no-ui"} & set(argv)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    assert known_options(str(silent)) is None, "then ours are passed as they are"
    assert (
        "--fit"
        in LlamaCppLauncher().launch(given, Serving("/m", "h", 4, "n", binary=str(silent))).argv
    )


def test_devices() -> None:
    said = "Available devices:\n  CUDA0: NVIDIA GeForce RTX 4090 (24080 MiB, 23300 MiB free)\n"
    assert devices(said) == ("CUDA0",)
    assert devices("Available devices:\n") == ()

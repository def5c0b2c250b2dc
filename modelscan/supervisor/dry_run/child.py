"""The process of a dry run: print the figures and be ended by the engine.

    python -m modelscan.supervisor.dry_run.child PARENT --model FILE [llama-server's options]

It imports little (its start is waited for) and never outlives the command that asked, whose pid
is PARENT: one that was killed meanwhile is not our parent any more.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from modelscan.engines.llamacpp.option_words import parse
from modelscan.supervisor.embedded.params import apply
from modelscan.supervisor.processes import die_with_parent

_LONGEST_S = 150  # beyond the asker's own limit


def main(argv: Sequence[str]) -> int:
    """1 for a file or settings that the engine refuses; a good run ends in a crash."""
    if sys.platform != "win32":
        _confine(int(argv[0]))
    import xllamacpp

    params = xllamacpp.CommonParams()
    if not hasattr(params, "no_alloc"):  # it would load the weights
        sys.stderr.write("0 E this xllamacpp cannot size a model without loading it\n")
        return 1
    apply(params, xllamacpp, parse(argv[1:]))
    params.no_alloc = params.fit_params = params.no_extra_bufts = True
    if hasattr(xllamacpp, "llama_load_mode"):
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    else:  # older builds
        params.use_mmap = False
    params.n_gpu_layers = 0
    params.warmup = False
    params.verbosity = 4
    params.cache_ram_mib = params.port = 0
    try:
        xllamacpp.Server(params)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
    return 1


def _confine(parent: int) -> None:
    """No core file; an end in any case, also when the command that started it is gone."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_LONGEST_S)
    die_with_parent(parent)
    _hold_crashes()


def _hold_crashes() -> None:
    """A crashing thread waits (libc's ``pause`` as its handler) while the log thread goes on."""
    import ctypes

    library = ctypes.CDLL(None)
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.signal.restype = ctypes.c_void_p
    pause = ctypes.cast(library.pause, ctypes.c_void_p)
    for number in (signal.SIGSEGV, signal.SIGABRT):
        library.signal(number, pause)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

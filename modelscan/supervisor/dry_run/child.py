"""The process of a dry run: print the figures; the engine then ends the process.

    python -m modelscan.supervisor.dry_run.child PARENT --model FILE [llama-server's options]

It imports little, because the command waits for its start, and ends with the command, whose pid is
PARENT: if the command was killed in between, the parent process has another pid.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from modelscan.engines.llamacpp.option_words import parse
from modelscan.supervisor.embedded.params import apply
from modelscan.supervisor.processes import die_with_parent

_LONGEST_S = 150  # longer than the command's own limit


def main(argv: Sequence[str]) -> int:
    """Returns 1 for a file or settings that the engine rejects; a successful run ends in a
    crash.
    """
    if sys.platform != "win32":
        _limit_process(int(argv[0]))
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


def _limit_process(parent: int) -> None:
    """Disable core dumps, set an alarm, and die with the parent process."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_LONGEST_S)
    die_with_parent(parent)
    _hold_crashes()


def _hold_crashes() -> None:
    """A crashing thread pauses (libc's ``pause`` as its handler) so that the log thread can
    finish.
    """
    import ctypes

    library = ctypes.CDLL(None)
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.signal.restype = ctypes.c_void_p
    pause = ctypes.cast(library.pause, ctypes.c_void_p)
    for number in (signal.SIGSEGV, signal.SIGABRT):
        library.signal(number, pause)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

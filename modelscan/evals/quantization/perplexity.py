"""The perplexity of a GGUF file on the bundled text, by llama.cpp's own program where it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

PROGRAM = "llama-perplexity"
_CONTEXT = "256"  # the text has about a thousand tokens, and the program needs twice the context
_LIMIT_S = 3600
# "Final estimate: PPL = 5.9062 +/- 0.03270", tools/perplexity/perplexity.cpp. Newer builds log it:
# a time and a level come before it, and part of a line whose rest went to the other stream.
_RESULT = re.compile(r"Final estimate: PPL = (\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


def parse_perplexity(output: str) -> float | None:
    """The final estimate in the program's output; None without one."""
    found = _RESULT.findall(output)
    return float(found[-1]) if found else None


def run_perplexity(files: tuple[str, ...], text: Path) -> float | None:
    """Of a model in one file; None where the program is not installed or fails."""
    program = shutil.which(PROGRAM)
    if program is None or len(files) != 1 or not Path(files[0]).is_file():
        return None
    command = [program, "-m", files[0], "-f", str(text), "-c", _CONTEXT]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_perplexity(done.stdout + done.stderr)

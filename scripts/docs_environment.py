"""docs/reference/environment.md: every environment variable that modelscan reads.

Those of settings come from ``SETTINGS``; ``OTHERS`` has the rest with their meanings. A test
searches the package for names of variables that are in neither.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from modelscan.state.config import OTHER_VARIABLES, SETTINGS

PACKAGE = Path(__file__).resolve().parent.parent / "modelscan"
_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_HOLDERS = ("env", "environ", "environment", "own_environment", "variables")
OTHERS = (
    ("Folders", (
        ("MODELSCAN_HOME", "all folders of modelscan are below this one"),
        ("XDG_CONFIG_HOME", "where units of `service install` are, as systemd does"),
        ("XDG_CACHE_HOME", "where the caches of Hugging Face and llama.cpp are, as they do"),
        ("HF_HOME", "where Hugging Face keeps its cache and its login"),
        ("HF_HUB_CACHE", "where Hugging Face keeps repositories"),
        ("HF_TOKEN_PATH", "where `hf auth login` keeps its token"),
        ("LLAMA_CACHE", "where llama.cpp keeps downloads"),
        ("OLLAMA_MODELS", "where Ollama keeps models"),
        ("HOME", "your home folder"),
    )),
    ("Network", (
        ("HTTP_PROXY", "the proxy for `http:` addresses; never for this machine. Lower case has "
         "precedence"),
        ("HTTPS_PROXY", "the proxy for `https:` addresses"),
        ("ALL_PROXY", "the proxy where neither of them is set"),
        ("NO_PROXY", "names, addresses and networks that are reached directly"),
        ("REQUEST_METHOD", "marks a CGI program, in which `HTTP_PROXY` is ignored"),
        ("SSL_CERT_FILE", "a file with certificates of authorities"),
        ("SSL_CERT_DIR", "a folder with them"),
        ("SSLKEYLOGFILE", "keys of TLS connections are written there, for debugging"),
    )),
    ("Devices", (
        ("CUDA_VISIBLE_DEVICES", "the NVIDIA devices that plans and engines may use, in order"),
        ("CUDA_DEVICE_ORDER", "`PCI_BUS_ID`: numbers are those of `nvidia-smi`"),
        ("HIP_VISIBLE_DEVICES", "the same for AMD"),
        ("ROCR_VISIBLE_DEVICES", "the same for AMD's runtime below it"),
        ("ASCEND_RT_VISIBLE_DEVICES", "the same for Ascend"),
        ("LD_LIBRARY_PATH", "where NVIDIA's management library is looked for, too"),
    )),
    ("Engines and programs", (
        ("PATH", "where engines and tools are looked for"),
        ("VIRTUAL_ENV", "an environment that may have vLLM or SGLang"),
        ("CONDA_PREFIX", "the same, of conda"),
        ("PYTHONPATH", "passed on to engines as you set it"),
    )),
    ("Output", (
        ("NO_COLOR", "no colours"),
        ("TERM", "`dumb`: no colours and no progress"),
        ("COLUMNS", "the width of the output"),
    )),
)  # fmt: skip
# Between modelscan and its own processes, or from a shell that completes a word: not for users.
INTERNAL = frozenset((
    "COMP_WORDS", "COMP_CWORD", "COMP_CURRENT", "MODELSCAN_RUN", "MODELSCAN_ENGINE_PYTHONPATH",
    "MODELSCAN_SGLANG_API_KEY", "MODELSCAN_HOST_ROOT", "LANG", "LC_ALL",
    "OLLAMA_FLASH_ATTENTION", "OLLAMA_KV_CACHE_TYPE",  # of an Ollama server's own start
))  # fmt: skip


def environment_page() -> str:
    """The settings' variables, then the others by their purpose."""
    aliases = OTHER_VARIABLES
    lines = [
        "# Environment variables\n",
        "## Settings\n",
        "Each [setting](settings.md) has one; a flag has precedence over it, it over the files.\n",
        "| variable | also | meaning |", "|---|---|---|",
    ]  # fmt: skip
    for one in SETTINGS:
        also = f"`{aliases[one.key]}`" if one.key in aliases else ""
        meaning = one.help.replace("|", "\\|")
        lines.append(f"| `{one.variable}` | {also} | {meaning} |")
    for title, rows in OTHERS:
        lines += ["", f"## {title}\n", "| variable | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {meaning} |" for name, meaning in rows]
    lines += ["", _KEYS]
    return "\n".join(lines)


_KEYS = """\
## Keys

No variable is read as a key by its name alone. Where a setting, the routing file or an option takes
a key, it takes a reference: `env:NAME` names any variable of yours, `file:PATH` a file.
"""


def documented() -> set[str]:
    """Every name that the page has."""
    own = {one.variable for one in SETTINGS} | set(OTHER_VARIABLES.values())
    return own | {name for _, rows in OTHERS for name, _ in rows}


def read_names() -> Iterator[tuple[str, str]]:
    """File and name of each variable that the package reads by a literal name."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = _read(node)
            if name and _NAME.fullmatch(name):
                yield file.relative_to(PACKAGE).as_posix(), name


def _read(node: ast.AST) -> str | None:
    """``environ.get("NAME")``, ``environ["NAME"]`` (not assigned), ``os.getenv("NAME")``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        held = node.func.attr == "get" and _is_environment(node.func.value)
        return _constant(node.args[0]) if held or node.func.attr == "getenv" else None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _constant(node.slice) if _is_environment(node.value) else None
    return None


def _is_environment(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return name in _HOLDERS


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

"""The shells of ``modelscan completion``: their scripts, and Click's protocol with each."""

from __future__ import annotations

import os
from typing import Literal, get_args

from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

Shell = Literal["bash", "zsh", "fish", "powershell"]
SHELLS: tuple[Shell, ...] = get_args(Shell)

# Names, then the files of the folder where an argument may be one. %q quotes names with blanks.
_BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' item type value files="" current="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    for item in $(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \
            %(complete_var)s=bash_complete "$1" 2>/dev/null); do
        type="${item%%%%,*}" value="${item#*,}"
        if [[ $type == plain ]]; then COMPREPLY+=("$(printf %%q "$value")"); else files=1; fi
    done
    if [[ -n $files ]]; then
        if [[ ${#COMPREPLY[@]} -eq 0 ]]; then compopt -o filenames; fi
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""
# compdef exists only after compinit.
_ZSH_HEAD = """\
#compdef %(prog_name)s
if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit; fi
"""
_POWERSHELL = r"""
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $env:%(complete_var)s = 'powershell_complete'
    $env:COMP_WORDS = $commandAst.ToString()
    $env:COMP_CURRENT = $wordToComplete
    %(prog_name)s | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }
    Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CURRENT
}
"""


class Bash(ShellComplete):
    """bash, from 3.2 on."""

    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor's, and the cursor's word."""
        words, at = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        return words[1:at], words[at] if at < len(words) else ""

    def format_completion(self, item: CompletionItem) -> str:
        """``type,value``."""
        return f"{item.type},{item.value}"


class Zsh(ZshComplete):
    """zsh, before and after ``compinit``."""

    source_template = _ZSH_HEAD + ZshComplete.source_template.replace("#compdef %(prog_name)s", "")


class PowerShell(ShellComplete):
    """PowerShell 5 and later. Not tested: no such shell is at hand."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to complete, and that one."""
        words, current = split_arg_string(os.environ["COMP_WORDS"])[1:], os.environ["COMP_CURRENT"]
        return words[:-1] if current and words else words, current

    def format_completion(self, item: CompletionItem) -> str:
        """The word itself; quoted where it has blanks."""
        return f"'{item.value}'" if " " in item.value else str(item.value)


_CLASSES: dict[Shell, type[ShellComplete]] = {
    "bash": Bash,
    "zsh": Zsh,
    "fish": FishComplete,
    "powershell": PowerShell,
}


def register() -> None:
    """Make Click answer these shells."""
    for name, kind in _CLASSES.items():
        add_completion_class(kind, name)


def script_of(shell: Shell) -> str:
    """The script that makes the shell complete ``modelscan``."""
    return _CLASSES[shell](None, {}, "modelscan", "_MODELSCAN_COMPLETE").source()  # type: ignore[arg-type]

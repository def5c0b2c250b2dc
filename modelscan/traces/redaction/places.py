"""Where a person or a machine is: e-mail addresses, absolute paths, hosts. Pure."""

from __future__ import annotations

import ipaddress
import re

from modelscan.traces.redaction.detector import START, Detector, detector

_AT = r"(?:[@\uff20]|%40|&#64;|\\u0040)"
_SLASH = r"\\{0,4}/"
_ROOTS = (
    "home|root|etc|var|usr|opt|srv|mnt|media|tmp|run|proc|sys|boot|lib|lib64|bin|sbin|data|work"
    "|workspaces?|scratch|storage|nfs|private|Users|Volumes|Library|Applications|System|nix|snap"
    "|gpfs|lustre|shared|cluster|projects?|builds?|models|cache|dev/shm|dev/disk|dev/mapper"
)
_PART = r"[^\s/\\\"'<>|:;,*?`(){}\[\]&]"
# A folder's name may have spaces where another part follows: ``First Last/``, ``My Documents/``.
_SPACED = rf"(?:(?: [^\s/\\\"'<>|:;*?`]{{1,40}}){{1,2}}(?={_SLASH}))?"
_LAST = r"(?:(?: [A-Z0-9(][^\s/\\\"'<>|:;*?`]{0,40}){1,4}\.[A-Za-z0-9]{1,5}\b)?"
_HOME_SPACED = rf"(?: [^\s/\\\"'<>|:;*?`]{{1,40}}(?={_SLASH}))?"
_W = r"\\{1,8}|/"
_WPART = r"[^\s/\\\"'<>|:;*?`]"
_WSPACED = rf"(?:(?: [^\s/\\\"'<>|:;*?`]{{1,40}}){{1,3}}(?={_W}))?"
_PLAIN = re.compile(
    r"/(?:usr/bin/env|bin/(?:ba|z|da|k|c)?sh|usr/bin/(?:ba|z)?sh|usr/bin/python[\d.]*)"
    r"(?: -?\w[\w.-]*)*\Z"
)
_INTERNAL = (
    "local|lan|internal|home\\.arpa|localdomain|corp|intranet|intra|private|home|localnet|cluster"
)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_VERSION = re.compile(r"v?\d+(?:\.\d+)+")


def _is_email(value: str, match: re.Match[str]) -> bool:
    """No repository (``git@host:``), no version (``react@18.2.0-rc.next``)."""
    local, _, domain = re.sub(_AT, "@", value).rpartition("@")
    after = match.string[match.end() : match.end() + 1]
    return not (local == "git" and after in (":", "/")) and _VERSION.match(domain) is None


def _is_path(value: str, _: re.Match[str]) -> bool:
    return _PLAIN.match(value) is None


def _is_ipv4(value: str, match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 9) : match.start()].lower()
    if before.endswith(("==", "version ", ">=", "<=", "~=", " v", "version=")):
        return False
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return not (address.is_loopback or value.startswith(("0.", "255.")))


def _is_ipv6(value: str, _: re.Match[str]) -> bool:
    first = value.partition(":")[0]
    if value.count(":") < 3 and not any(one.isdigit() for one in first):
        return False  # Face::add is a name in a program
    try:
        address = ipaddress.IPv6Address(value.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _is_url_host(value: str, _: re.Match[str]) -> bool:
    """A name without dots, as in a company's network; not this machine's own."""
    return "." not in value and value.lower() not in _OWN


_OWN = frozenset((
    "localhost", "host", "hostname", "server", "example", "domain", "api", "url", "user",
    "username", "your-host", "yourhost", "my-host",
))  # fmt: skip

PLACES: tuple[Detector, ...] = (
    detector(
        "email",
        rf"[^\W_](?:[\w.!#$&'*+/=?^`{{|}}~-]|%2[Bb]){{0,63}}{_AT}"
        r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w-])",
        "@", "\uff20", "%40", "&#64;", "\\u0040", check=_is_email,
    ),
    detector("path", START + r"file:(?:\\?/){1,4}[^\s\"'<>)\]}]+", "file:"),
    detector(
        "path",
        START + rf"~(?:[a-z_][a-z0-9_.-]*)?(?:{_SLASH}{_PART}+{_SPACED})+{_LAST}", "~",
    ),
    detector(
        "path",
        rf"(?P<q>[\"'`])(?P<v>(?:~|/(?:{_ROOTS}))/[^\"'`\n]{{1,300}}?|[A-Za-z]:[\\/][^\"'`\n]{{1,300}}?)(?P=q)",
        "/", ":\\", check=_is_path,
    ),
    detector(
        "path",
        r"(?<![\w.~/\\-])"
        rf"{_SLASH}(?:home|Users){_SLASH}{_PART}+{_HOME_SPACED}(?:{_SLASH}{_PART}+{_SPACED})*{_LAST}{_SLASH}?",
        "/",
    ),
    detector(
        "path",
        r"(?<![\w.~/\\-])"
        rf"{_SLASH}(?:{_ROOTS})(?:{_SLASH}{_PART}+{_SPACED})+{_LAST}{_SLASH}?",
        "/", check=_is_path,
    ),
    detector(
        "path",
        r"(?:(?<![\w.~/\\:-])|(?<=\\[nrt]))(?:/[\w.+@-]+){2,}\.[A-Za-z][A-Za-z0-9]{0,4}(?![\w/])",
        "/", check=_is_path,
    ),
    detector(
        "path", rf"(?i)%2f(?:{_ROOTS})(?:%2f[\w.%~-]+)+", "%2f",
    ),
    detector(
        "path",
        rf"(?<![A-Za-z0-9%])[A-Za-z]:(?:{_W}(?!/)){_WPART}+{_WSPACED}"
        rf"(?:(?:{_W}){_WPART}+{_WSPACED})*{_LAST}(?:{_W})?",
        ":\\", ":/",
    ),
    detector(
        "path",
        r"(?i)(?:%(?:userprofile|appdata|localappdata|homepath|homedrive|temp|tmp|onedrive)%"
        r"|\$env:(?:userprofile|appdata|localappdata|temp|home)|\$\{?home\}?)"
        rf"(?:(?:{_W}){_WPART}+{_WSPACED})+{_LAST}",
        "%", "$env:", "$home", "${home",
    ),
    detector("path", START + r"[A-Za-z]%3[Aa](?:%5[Cc]|%2[Ff])[\w.%~-]+", "%3a"),
    detector(
        "path",
        rf"(?<![\\\w:])\\{{2,8}}(?![nrtbfv0]\\|u[0-9A-Fa-f]{{4}})[A-Za-z0-9][\w.$-]*(?:\\{{1,4}}{_WPART}+{_WSPACED})+{_LAST}",
        "\\\\",
    ),
    detector("host", r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d|[\w-])", ".", check=_is_ipv4),
    detector("host", r"(?<![\w:.])[0-9A-Fa-f:]{5,45}(?:%\w+)?(?![\w:])", ":", check=_is_ipv6),
    detector("mac", r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])", ":", "-"),
    detector(
        "host",
        rf"{START}(?:{_LABEL}\.)+(?:{_INTERNAL})(?:\.(?:{_LABEL}\.)*[A-Za-z]{{2,24}})?(?![\w-]|\.[A-Za-z0-9]|\()",
        ".local", ".lan", ".internal", ".home", ".corp", ".intra", ".private", ".cluster",
        check=lambda value, _: not value.startswith(("self.", "this.", "std.", "threading.")),
    ),
    detector(
        "host", rf"{START}(?:[A-Za-z][A-Za-z-]{{1,30}}-?\d{{1,4}}[a-z]?\.)(?:{_LABEL}\.){{1,4}}"
        r"(?:com|net|org|io|de|eu|dev|cloud|ai|edu|gov|co|uk|fr|ch|at|nl|systems|tech)(?![\w-]|\.\w)",
        ".",
    ),
    detector("host", rf"[a-z][a-z0-9+.-]{{1,20}}://(?P<v>{_LABEL})(?=[:/])", "://",
             check=_is_url_host),
    detector(
        "host",
        r"(?i)\b(?:ssh|scp|rsync|sftp|mosh)\s[^\n]{0,80}?"
        r"(?P<v>(?!git@)[\w.-]{1,40}@[\w.-]{2,100})",
        "ssh", "scp", "rsync", "sftp", "mosh",
    ),
)  # fmt: skip

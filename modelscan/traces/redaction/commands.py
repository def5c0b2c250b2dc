"""Passwords in command lines: after the option of a program, as a shell, a list of words or code
writes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelscan.traces.redaction.detector import Detector, detector, has_digit
from modelscan.traces.redaction.keys import is_about, is_secret_value

_SEP = r"[\s\"',\\\[\]]{1,12}"  # between words; in code: ["mysql", "-p", …]
_REST = r"[^\n|;&]{0,300}?(?<=[\s\"',\\\[])"  # words of the same command before the option
_VALUE = r"(?P<v>(?!redacted:)[^\s\"'`,|;&<>()\[\]\\]{3,200})"
_QUOTED = r"\\{0,8}(?P<q>[\"'])(?P<v>(?!\[redacted:)[^\"'\n\\]{3,200})\\{0,8}(?P=q)"
_BEGIN = r"(?<![\w.-])"
_PROGRAMS_OF_P = (
    r"mkdir|cp|mv|install|rsync|scp|sftp|ssh|tar|pytest|python[\d.]*|patch|git|ls|node|npm|npx|screen|tmux"
    r"|ps|lsof|kill|docker|podman|nmap|claude|cargo|perl|make|read|df|du|netstat|ss|perf|strace|jq|mysql\w*|mariadb[\w-]*|mycli|psql|pg_\w+"
)
_PROGRAMS_OF_USER = (
    r"docker|podman|chown|install|systemd-run|setpriv|gosu|su-exec|nerdctl|buildah|rsync|initdb"
)
_OTHER = re.compile(rf"(?i)(?<![\w.-])(?:{_PROGRAMS_OF_P})\s[^\n|;&]*\Z")
_OTHER_USER = re.compile(rf"(?i)(?<![\w.-])(?:{_PROGRAMS_OF_USER})\s[^\n|;&]*\Z")
_LOOK_BACK = 200


def _is_value(value: str, _: re.Match[str]) -> bool:
    return value[0] not in "-$" and is_secret_value(value.ljust(4, "x")) and not is_about(value)


def _is_p(value: str, match: re.Match[str]) -> bool:
    """After ``-p`` of a program that is not known: letters and digits mixed, as in no word, port
    or path."""
    letters = sum(one.isalpha() for one in value)
    glued = match.start("v") == match.start() + len("-p")
    path = re.search(r"[/:.=~-]" if glued else r"[/:.=~]", value)
    mixed = letters >= 2 and len(value) >= 6 and has_digit(value, match) and not path
    before = match.string[max(0, match.start() - _LOOK_BACK) : match.start()]
    return mixed and _is_value(value, match) and _OTHER.search(before) is None


def _is_login(value: str, match: re.Match[str]) -> bool:
    """``user:password``, no ids and groups, as those of containers are."""
    before = match.string[max(0, match.start() - _LOOK_BACK) : match.start()]
    plain = not value.isdigit() and not value.startswith("/") and _is_value(value, match)
    return plain and _OTHER_USER.search(before) is None


def _options(
    programs: str, options: str, *marks: str, glued: bool = False, value: str = ""
) -> Iterator[Detector]:
    """Detectors for ``PROGRAM … OPTION VALUE``; ``glued``: also, or only, without a blank."""
    between = rf"(?:{_SEP}|=)?" if glued else rf"(?:{_SEP}|=)"
    head = rf"{_BEGIN}(?i:{programs})(?:\.exe)?{_SEP}{_REST}(?:{options}){between}"
    for text in (_VALUE, _QUOTED):
        yield detector("password", head + value + text, *marks, check=_is_value)


_USER = r"[^\s:\"'%,]{1,100}:"
COMMANDS: tuple[Detector, ...] = (
    *_options(
        r"curl|wget|https?|xh|aria2c", "-u|--user|-U|--proxy-user|-a|--auth", "-u", "--", "-a",
        glued=True, value=_USER,
    ),
    *(
        detector(
            "cookie",
            rf"{_BEGIN}(?i:curl|wget|https?|xh|lwp-request){_SEP}{_REST}(?:-b|--cookie){_SEP}?=?"
            + text,
            "-b", "--cookie",
        )
        for text in (
            r"(?P<q>[\"'])(?P<v>[^\"'=\n]{1,100}=[^\"'\n]+)(?P=q)",
            r"(?P<v>[\w.-]{1,100}=[^\s\"'|;&<>]+)",
        )
    ),
    # A blank after -p means that the program asks for the password.
    *(
        detector(
            "password",
            rf"{_BEGIN}(?i:mysql\w*|mariadb[\w-]*|mycli){_SEP}{_REST}-p{value}", "-p",
            check=_is_value,
        )
        for value in (_VALUE, _QUOTED)
    ),
    *_options(r"sshpass|7z[ar]?|rar|unrar", "-p", "-p", glued=True),
    *_options(
        r"mongo\w*|twine|evil-winrm|psexec\w*|netexec|nxc|crackmapexec|rdesktop|xfreerdp|impala-shell"
        r"|influx|clickhouse-client|cqlsh|sqlplus|jfrog|snowsql",
        "-p|-P|--pass", "-p",
    ),
    *_options(
        r"(?:docker|podman|nerdctl|skopeo|buildah|helm|crane|oras|az|oc|argocd|flyctl|registry|cf|ibmcloud)"
        rf"{_SEP}(?:[^\n|;&]{{0,60}}?{_SEP})?login", "-p", "-p", glued=True,
    ),
    *_options(r"redis-cli|valkey-cli|keydb-cli", "-a|--pass", "-a", "--pass"),
    *_options(r"ldap\w+|zabbix_\w+", "-w", "-w"),
    *_options(
        r"sqlcmd|bcp|mosquitto_\w+|ipmitool|unzip|zip|isql|osql|tsql", "-P", "-p", glued=True
    ),
    *_options(r"plink|pscp|psftp|putty", "-pw", "-pw"),
    *_options(r"openssl", r"-pass(?:in|out)?|-k|-passwd", "-", value="(?:pass:)?"),
    *_options(r"keytool|jarsigner", r"-(?:store|key|src|dest)\w*pass(?:word)?", "pass"),
    *_options(r"smbclient|rpcclient|mount\.cifs|net", r"-U", "-u", value=r"[^\s%\"']{1,100}%"),
    *_options(r"lftp|ncftp", r"-u", "-u", value=r"[^\s,\"']{1,100},"),
    *_options(r"htpasswd", r"-\w*b\w*", "htpasswd", value=rf"\S+{_SEP}\S+{_SEP}"),
    *_options(r"nmcli", r"password|wifi-sec\.psk|802-1x\.password", "nmcli"),
    *_options(r"vault|bao", r"login", "login"),
    *_options(r"aws", r"aws_secret_access_key|aws_session_token", "aws_se"),
    *_options(r"net\s+use|runas|cmdkey", r"/user:\S+|/pass:?", "/user", "/pass"),
    # Without a program that is known.
    detector("password", rf"(?<![\w-])-p(?:{_SEP})?{_VALUE}", "-p", check=_is_p),
    detector("password", rf"(?<![\w-])(?:-u|--user){_SEP}{_USER}{_VALUE}", "-u", "--user",
             check=_is_login),
    detector(
        "password",
        r"(?i)(?<![\w-])--?[\w-]{0,40}(?:pass(?:word|wd|phrase|wort|code)?|pwd|storepass|keypass)"
        rf"(?![\w-])(?:=|{_SEP}){_VALUE}",
        "pass", "pwd", check=lambda value, match: _is_value(value, match)
        and (match.group(0).startswith("--") or has_digit(value, match)),
    ),
    detector(
        "password",
        rf"(?i)(?<![\w-])--[\w-]{{0,40}}(?:pass(?:word|wd|phrase)?|pwd)(?:=|{_SEP}?){_QUOTED}",
        "pass", "pwd", check=_is_value,
    ),
    detector(
        "password",
        r"(?<![\w.-])(?:[A-Z][A-Z0-9_]{0,40}(?:PASSWORD|PASSPHRASE|_PASS|_PW|_PWD)|SSHPASS)="
        r"(?P<v>[^\s\"'`;&|$]{3,200})",
        "pass", "pw", check=lambda value, _: is_secret_value(value.ljust(4, "x")),
    ),
    detector(
        "password", rf"(?i)\bchpasswd\b\s*<<<\s*[\"']?[^\s:\"']+:{_VALUE}", "chpasswd",
    ),
    detector(
        "password",
        r"(?i)\becho\s+(?:-\w+\s+)?[\"']?[^\s:\"'|]+:(?P<v>[^\s\"'|]{3,200})[\"']?\s*\|\s*(?:sudo\s+)?chpasswd",
        "chpasswd",
    ),
    detector(
        "password",
        r"(?i)\b(?:echo|printf)\s+(?:-\w+\s+)?[\"']?(?P<v>[^\s\"'|\\]{3,200})(?:\\n)?[\"']?\s*\|\s*"
        r"(?:sudo\s+-\w*S|docker\s+login|podman\s+login|gpg\b[^\n|]*--passphrase-fd|cryptsetup|passwd\s+--stdin)",
        "sudo", "login", "gpg", "cryptsetup", "--stdin",
        check=lambda value, _: value[0] not in "$-",
    ),
)  # fmt: skip

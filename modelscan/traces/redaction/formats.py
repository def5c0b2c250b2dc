"""Secrets whose name is not directly before them: in tables, markup, SQL, name-and-value pairs.
Pure."""

from __future__ import annotations

import re

from modelscan.traces.redaction.detector import PLACEHOLDER, Detector, detector, has_digit
from modelscan.traces.redaction.keys import NAME, is_about, is_basic, is_secret_value

_Q = r"\\{0,8}[\"']"
_WORDS = r"[\w.-]{0,40}(?:password|passwd|passphrase|secret|api[ _-]?key|access[ _-]?token)"
_NAME = rf"(?i:{NAME}|{_WORDS})"
_TEXT = r"(?P<v>[^\"'\r\n\\]{3,200})"


def _is_value(value: str, _: re.Match[str]) -> bool:
    return PLACEHOLDER not in value and is_secret_value(value.ljust(4, "x"))


def _is_mixed(value: str, match: re.Match[str]) -> bool:
    """In a table or a sentence, a word without a digit is a word."""
    return has_digit(value, match) and _is_value(value, match)


_DATA = r"(?:stringData|data):[ \t]*\r?\n(?P<v>(?:[ \t]+[\w.-]+:[ \t]*\S[^\r\n]*(?:\r?\n|\Z))+)"
FORMATS: tuple[Detector, ...] = (
    detector(
        "secret",
        r"(?:密码|密碼|口令|パスワード|暗証番号|비밀번호|암호)(?:は|为|為|是|는|은)?\s*[:\uff1a=]?\s*"
        r"[\"'`「]?(?P<v>[!-~]{4,100})", "密", "口令", "パスワード", "暗証", "비밀번호", "암호",
        check=lambda value, _: is_secret_value(value),
    ),
    detector(  # .netrc
        "password", r"\blogin\s+\S{1,100}\s+password\s+(?P<v>[^\s\"'\\]{4,200})", "login",
        check=lambda value, _: is_secret_value(value) and not is_about(value),
    ),
    detector(  # a text of several lines in YAML
        "secret",
        rf"(?<![\w-]){NAME}:[ \t]*[|>][+-]?\d?[ \t]*\r?\n"
        r"(?P<v>(?:[ \t]+[^\s][^\r\n]*\r?\n?)+)",
        ": |", ": >", ":|", ":>",
    ),
    # Kubernetes: every value of a Secret, whatever its name.
    detector("secret", rf"\bkind:\s*Secret\b(?:(?!---)[\s\S]){{0,2000}}?\b{_DATA}", "secret"),
    detector("secret", rf"\b{_DATA}(?=(?:(?!---)[\s\S]){{0,2000}}?\bkind:\s*Secret\b)", "secret"),
    *(
        detector(
            "secret",
            rf"{before}{_Q}(?:stringData|data){_Q}\s*:\s*\{{(?P<v>[^{{}}]{{3,4000}})\}}{after}",
            "secret",
        )
        for before, after in (
            (rf"{_Q}kind{_Q}\s*:\s*{_Q}Secret{_Q}[\s\S]{{0,2000}}?", ""),
            ("", rf"(?=[\s\S]{{0,2000}}?{_Q}kind{_Q}\s*:\s*{_Q}Secret{_Q})"),
        )
    ),
    detector(
        "password", r"(?i)\bWIFI:[^\n]{0,100}?;?P:(?P<v>(?:\\.|[^;\n]){4,100});", "wifi:",
    ),
    detector(
        "password",
        rf"(?i)\bset\s+password\b[^\n]{{0,100}}=\s*(?:password\s*\(\s*)?{_Q}{_TEXT}{_Q}", "set",
        check=_is_value,
    ),
    detector(  # PuTTY
        "pem",
        r"Private-Lines:\s*\d+(?P<v>(?:\s+[A-Za-z0-9+/=]{4,64}(?![\w:-]))+"
        r"(?:\s+Private-(?:MAC|Hash):\s*[0-9a-f]+)?)",
        "private-lines",
    ),
    detector(  # name: DB_PASSWORD, value: …
        "secret",
        rf"(?<!\w)(?:name|key){_Q}?\s*[:=]\s*(?:{_Q})?{_NAME}(?:{_Q})?\s*,?\s*(?:-\s*)?(?:{_Q})?value{_Q}?"
        rf"\s*[:=]\s*(?:{_Q})?(?P<v>[^\s\"',}}\\]{{3,200}})",
        "value", check=_is_value,
    ),
    detector(  # variable "db_password" { default = "…" }
        "secret", rf"{_Q}{_NAME}{_Q}\s*\{{[^{{}}]{{0,300}}?\bdefault\s*=\s*{_Q}{_TEXT}", "default",
        check=_is_value,
    ),
    detector(
        "secret",
        rf"name={_Q}{_NAME}{_Q}\s*?(?:\r?\n|\\r\\n|\\n){{2}}(?P<v>[^\r\n\\]{{3,200}})", "name=",
        check=_is_value,
    ),
    detector(
        "password",
        rf"(?:\bauth\s*=\s*\(|Basic_?Auth\(|basic_auth\()\s*{_Q}[^\"'\n]{{0,100}}{_Q}\s*,\s*{_Q}{_TEXT}",
        "auth", check=_is_value,
    ),
    detector(
        "password",
        rf"(?i)\bidentified\s+(?:with\s+\S{{1,60}}\s+)?(?:by|as)\s+(?:password\s+)?{_Q}{_TEXT}",
        "identified", check=_is_value,
    ),
    detector(
        "secret", rf"\|\s*[*`]*{_NAME}[*`]*\s*\|\s*[*`]*(?P<v>[^\s|`*]{{4,200}})[*`]*\s*\|", "|",
        check=_is_mixed,
    ),
    detector(
        "secret", rf"(?:\*\*|__){_NAME}\s*:?(?:\*\*|__)\s*:?\s*[`\"']?(?P<v>[^\s`\"'*]{{5,200}})",
        "**", "__", check=_is_mixed,
    ),
    detector(
        "password", rf"(?i)type={_Q}password{_Q}[^<>]{{0,200}}?\bvalue={_Q}{_TEXT}", "value=",
        check=_is_value,
    ),
    detector(
        "password", rf"(?i)\bvalue={_Q}{_TEXT}{_Q}[^<>]{{0,200}}?type={_Q}password", "value=",
        check=_is_value,
    ),
    detector(
        "password",
        rf"(?i)password:?[^\n]{{0,10}}(?:\n|\\n)\s*send\s+(?:--\s+)?{_Q}{_TEXT}", "send",
        check=_is_value,
    ),
    detector(
        "secret", rf"<key>{_NAME}</key>\s*<string>(?P<v>[^<\r\n]{{3,200}})</string>", "<string>",
        check=_is_value,
    ),
    detector(
        "basic", rf"{_Q}_?auth{_Q}\s*:\s*{_Q}(?P<v>[A-Za-z0-9+/]{{8,}}={{0,2}}){_Q}", "auth",
        check=is_basic,
    ),
    detector(  # names in one word: storePassword '…'
        "secret",
        rf"\b[a-z]\w{{0,40}}(?:Password|Passphrase|Secret|Token|ApiKey)\s*(?:[=:(]\s*)?{_Q}{_TEXT}",
        "password", "passphrase", "secret", "token", "apikey", check=_is_mixed,
    ),
    detector(
        "secret",
        r"(?i)(?<![\w-])(?:\w{0,40}_)?(?:ssh|become|sudo|db|user|admin|root|smtp|ftp|mail|mysql|redis|ldap|login"
        rf"|wifi|wpa|proxy)_?(?:pass|psk)\s*[:=]\s*(?:{_Q})?(?P<v>[^\s\"'`,;]{{3,200}})",
        "pass", "psk", check=_is_value,
    ),
    detector("secret", rf"(?i)(?<![\w-])psk\s*=\s*(?:{_Q})?(?P<v>[^\s\"'`,;]{{8,200}})", "psk",
             check=_is_value),
    detector(
        "secret",
        rf"(?i)\bsecret[_-]?key[_-]?base{_Q}?\]?\s*[:=]+\s*(?:{_Q})?(?P<v>[^\s\"'`,;]{{8,200}})",
        "base", check=_is_value,
    ),
)  # fmt: skip

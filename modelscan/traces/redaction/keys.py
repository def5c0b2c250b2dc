"""Tokens and passwords by the name before them, and long mixtures of letters and digits. Pure."""

from __future__ import annotations

import base64
import binascii
import itertools
import re

from modelscan.traces.redaction.detector import PLACEHOLDER, Detector, detector, has_digit

_Q = r"\\{0,8}[\"']"  # a quotation mark, however often it was escaped


_PEM = r"-{4,5} ?BEGIN [A-Z0-9 ]{2,40}-{4,5}.*?(?:-{4,5} ?END [A-Z0-9 ]{2,40}-{4,5}|\Z)"


def is_basic(value: str, _: re.Match[str]) -> bool:
    """Whether it is ``user:password`` in base64, and no English word after ``basic``."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in text or (has_digit(value, _) and len(value) >= 16)


def _is_bearer(value: str, match: re.Match[str]) -> bool:
    return has_digit(value, match) or len(value) >= 24


# Names before a value. Words of a model's vocabulary (eos_token, max_tokens) are none.
_WORD = (
    r"(?:api|access|secret|private|auth|signing|master|encryption|client|account|shared|service"
    r"|deploy|storage)"
)
NAME = (
    rf"(?:[\w.-]{{0,60}}(?i:{_WORD}[ _.-]?(?:access[ _-]?)?(?:key|secret|token)s?"
    r"|password|passwd|passphrase|passwort|passcode|credentials?|client[_-]?secret|secret(?:s|[_-]?key)?"
    r"|(?:auth|access|refresh|bearer|hf|hub|id|session|bot|user|github|gitlab|csrf|xsrf|slack|oauth)[_-]?token"
    r"|connection[_-]?string|pwd)|[A-Z0-9_]{1,60}_(?:TOKEN|KEY|PASS|PWD|AUTH)|[Tt]oken|TOKEN)"
)
_NAMED = re.compile(rf"{NAME}\Z")
_HARMLESS = re.compile(
    r"(?i)(?:none|null|true|false|unset|missing|required|optional|string|str|bytes|empty|default"
    r"|(?:[a-z]{2,6}[-_])*(?:xxx+|\*+|\.{3}|…)"
    r"|<[\w ./-]+>|\$\{?[A-Z_a-z]\w*\}?|\$\(.*|\{[\w.!\[\]'\"]*\}|%\([^)]*\)[sd]|%\w+%"
    r"|env:[A-Za-z_\\]\w*.*|file:\S+|your[-_ ].*|example.*|changeme"
    r"|os\.(?:environ|getenv).*|process\.env.*|getpass.*|self\..*|config\..*|settings\..*"
    r"|-?[\d.,]{1,7})\Z"
)


# Words after an option in texts about it; every other word may be the password.
_ABOUT = re.compile(
    r"(?i)(?:option|options|flag|flags|argument|arguments|takes|accepts|"
    r"requires|with|without|from|should|will|must|which|when|"
    r"that|this|your|prompts|instead|because|into|only|also|"
    r"needs|sets|reads|means|does|used|using|given|for|and|has"
    r"|can|may|are|the|was|value|switch|parameter)[.,:;!?)]*\Z"
)


def is_secret_name(name: str) -> bool:
    """Whether the name of a JSON object's key says that its value is a secret."""
    return _NAMED.search(name) is not None and not name.lower().endswith("tokens")


def is_secret_value(value: str) -> bool:
    """Whether a value under such a name is one: no number, reference or placeholder."""
    return (
        len(value) >= 4
        and not value.startswith(PLACEHOLDER)
        and _HARMLESS.match(value.strip()) is None
        and _HARMLESS.match(value.strip().rstrip("`).,;:!?")) is None
    )


_PARTS = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+(?:\[.*)?\Z")


def _is_expression(name: str, value: str) -> bool:
    """Names of a program: ``password=self.password``, ``api_key=api_key``; not in an environment,
    whose names are in capitals."""
    if name.isupper():
        return False
    word = value.partition("[")[0]
    is_name = "_" in word or word != word.lower() or word in ("password", "token", "secret")
    return _PARTS.match(value) is not None or (is_name and is_secret_name(word))


_CALL = re.compile(r"[A-Za-z_][A-Za-z_.]*\Z")
_CALLED = re.compile(r"[A-Za-z_.]*\(")


def _is_assigned(value: str, match: re.Match[str]) -> bool:
    """A name with a colon and a space is prose, unless the value looks like none."""
    if not is_secret_value(value) or _CALLED.match(value):
        return False
    if not match["quote"] and _is_expression(match["name"], value):
        return False
    if match["quote"] and value[0] in "\"',)]}":  # an empty text before it
        return False
    follows = match.string[match.end("v") :][:1]
    if follows in ("(", "[") and _CALL.match(value):  # a call, an element
        return False
    if match["name"].lower() == "token" and len(value) < 12:  # a model's words are tokens, too
        return False
    if match["quote"] or "=" in match["sign"]:
        return True
    plain = value.rstrip(".,;:!?")
    return value[0] != "-" and (any(not one.isalpha() for one in plain) or _is_shuffled(plain))


def _is_shuffled(word: str) -> bool:
    """Small and capital letters mixed as in no word and no name of a program."""
    changes = sum(a.isupper() != b.isupper() for a, b in itertools.pairwise(word))
    return len(word) >= 8 and changes >= 0.38 * len(word)


def _is_told(value: str, _: re.Match[str]) -> bool:
    """Letters and digits mixed, as no word, number or date is: ``the password is hunter2``."""
    plain = value.rstrip(".,;:!?)")
    digits = sum(one.isdigit() for one in plain)
    letters = sum(one.isalpha() for one in plain)
    return digits >= 1 and letters >= 2 and is_secret_value(plain) and "/" not in plain


def _is_pair(value: str, match: re.Match[str]) -> bool:
    """The second of two words in quotes; in a list of names it is another name."""
    return is_secret_value(value) and (match["sign"] == "=" or has_digit(value, match))


def _is_in_path(value: str, _: re.Match[str]) -> bool:
    """A password with a slash, no port before a path: ``http://host:3000/users/@me``."""
    return "/" in value and re.match(r"\d{1,5}/", value) is None


def is_about(value: str) -> bool:
    """Whether a word after an option belongs to a sentence about the option."""
    return _ABOUT.match(value) is not None


def _is_option(value: str, match: re.Match[str]) -> bool:
    """``--password x``; with one dash only what looks like no word."""
    long = match.group(0).startswith("--")
    if value[0] == "-" or not is_secret_value(value) or is_about(value):
        return False
    return long or has_digit(value, match)


_FOREIGN = (
    "mot de passe", "contraseña", "contrasena", "passcode", "пароль", "senha", "hasło",
    "wachtwoord", "lösenord", "adgangskode", "passord", "salasana", "şifre", "parola", "heslo",
    "jelszó", "κωδικός", "סיסמה",
)  # fmt: skip
_EXAMPLE = re.compile(r"(?i)(?:password|passwd|pass|pwd)\Z")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")


def _is_key(value: str, _: re.Match[str]) -> bool:
    """The frame of a key with a key in it, no constant of a program."""
    return _KEY_LINE.search(value) is not None


NAMED: tuple[Detector, ...] = (
    detector("pem", _PEM, "begin ", check=_is_key, flags=re.DOTALL),
    detector(
        "bearer", r"(?i)\bbearer(?:\s|%20|\+|\\u0020|:)+(?P<v>[A-Za-z0-9._~+/-]{8,}={0,2})",
        "bearer", check=_is_bearer,
    ),
    detector(
        "basic", r"(?i)\bbasic(?:\s|%20|\+|\\u0020)+(?P<v>[A-Za-z0-9+/_-]{6,}={0,2})", "basic",
        check=is_basic,
    ),
    detector(
        "authorization",
        rf"(?i)\b(?:proxy-)?authorization{_Q}?\s*[:=]\s*(?:{_Q})?(?:[a-z-]{{2,20}}\s+)?"
        r"(?P<v>[A-Za-z0-9._~+/=-]{8,})",
        "authorization", check=_is_bearer,
    ),
    detector(  # Digest, AWS4-HMAC-SHA256, OAuth: parameters up to the end of the line
        "authorization",
        rf"(?i)\b(?:proxy-)?authorization{_Q}?\s*[:=]\s*(?:{_Q})?[a-z][a-z0-9-]{{2,30}}\s+"
        rf"(?P<v>[\w-]{{1,40}}=(?:{_Q}[^\r\n\"'\\]*{_Q}|[^\s,\"']+)"
        rf"(?:,\s*[\w-]{{1,40}}=(?:{_Q}[^\r\n\"'\\]*{_Q}|[^\s,\"']+))*)",
        "authorization",
    ),
    detector(
        "cookie", rf"(?i)\b(?:set-)?cookie{_Q}?\s*:\s*(?:{_Q})?(?P<v>[^\r\n\"'\\]*=[^\r\n\"'\\]+)",
        "cookie",
    ),
    detector(
        "url_password", r"://[^/\s:@\"'<>\[\]]{0,100}:(?P<v>[^\s@\"'<>\[\]/]{1,200})@", "://",
        check=lambda value, _: _EXAMPLE.match(value) is None and _HARMLESS.match(value) is None,
    ),
    detector(
        "url_password",
        r"://[^/\s:@\"'<>\[\]]{0,100}:(?P<v>[^\s@\"'<>\[\]]{1,200})@(?=[\w.-]+(?:[:/?#\s\"']|\Z))",
        "://", check=_is_in_path,
    ),
    detector(
        "url_password", r"://(?P<v>[^/\s:@\"'<>\[\]]{8,200})@", "://", check=has_digit
    ),
    detector(  # a line of .pgpass: host:port:database:user:password
        "url_password",
        r"(?<![\w:./-])(?=[\w.*-]*[g-zG-Z.*])[\w.*-]+:(?:\d{4,5}|\*):[\w*-]+:[\w.*@-]+:"
        r"(?P<v>[^\s:\"'\[]{4,100})",
        ":", check=lambda value, _: is_secret_value(value),
    ),
    detector(
        "url_parameter",
        r"(?i)(?:[?&;]|%3f|%26|&amp;)(?:x-amz-(?:signature|credential|security-token)|(?:[\w-]*[_-])?(?:key|token|sig|signature|"
        r"secret|password|passwd|pwd|auth|apikey|code|jwt|session))(?:=|%3d)(?P<v>[^&\s\"'#<>\\;]{6,})",
        "=", "%3d",
        check=lambda value, _: is_secret_value(value),
    ),
    detector(
        "secret",
        rf"(?<![\w-])(?P<name>{NAME})(?:{_Q})?(?P<sign>\s{{0,4}}(?::=|=>|=|:)\s{{0,4}}|%3[dD])(?P<quote>(?:{_Q})?)"
        r"(?P<v>[^\s\"'`,;&\]\[(){}<>\\]{4,})",
        "=", ":", "%3d", check=_is_assigned,
    ),
    detector(
        "secret",
        rf"(?<![\w-])(?P<name>{NAME})(?:{_Q})?(?P<sign>\s{{0,4}}(?::=|=>|=|:)\s{{0,4}})(?P<quote>{_Q})"
        r"(?P<v>[^\r\n]{4,200}?)(?P=quote)",
        "=", ":", check=_is_assigned,
    ),
    detector(
        "secret",
        rf"(?i)\b(?:password|passphrase|passwort|kennwort|{'|'.join(_FOREIGN)}"
        r"|api[ _-]?key|token|secret)"
        r"(?:\s+(?:is|was|ist|lautet|est|es|are|to|will be|set to|changed to|è|é|är|er|jest|=))?"
        r"\s*:?\s+"
        r"[\"'`]?(?P<v>[^\s\"'`<>\\][^\s\"'`<>]{5,})",
        "pass", "key", "token", "secret", "kennwort", *_FOREIGN, check=_is_told,
    ),
    detector(
        "secret", rf"<(?:\w{{1,20}}:)?{NAME}(?:\s[^<>]{{0,80}})?>\s*(?P<v>[^<>\s]{{4,200}})\s*</",
        "</", check=lambda value, _: is_secret_value(value),
    ),
    detector(  # ("DB_PASSWORD", "…"), os.environ["API_KEY"] = "…"
        "secret",
        rf"{_Q}(?:{NAME}){_Q}\s*(?:\])?\s*(?P<sign>[,=])\s*(?P<quote>{_Q})(?P<v>[^\r\n\"'\\]{{4,200}}?)(?P=quote)",
        ",", "=", check=_is_pair,
    ),
    detector(
        "secret",
        rf"(?<!\w)(?<!\w-)(?i:setx|setenv|putenv|set\s+-\w+|config\s+set|secrets?\s+set)\s+"
        rf"(?:{NAME})\s+(?:--?(?:body|value|v|b)[ =])?(?:{_Q})?"
        r"(?P<v>[^\s\"'`,;)]{4,})",
        "set", "putenv", check=lambda value, _: is_secret_value(value) and value[0] != "-",
    ),
    detector(
        "url_password", r"(?<![\w./:-])[\w.-]{1,40}:(?P<v>[^\s:@/\"'<>]{4,100})@[\w.-]+", "@",
        check=has_digit,
    ),
    detector(
        "secret",
        rf"(?i)(?<!\w)--?[\w-]*(?:api-?key|token|password|passwd|secret|access-?key)(?![\w-])(?:[=\s]\s*)(?:{_Q})?"
        r"(?P<v>[^\s\"',;]{4,})",
        "--", "-",
        check=_is_option,
    ),
)  # fmt: skip

"""Random secrets of many kinds, planted in what requests contain: code, shells, logs, JSON, URLs."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote

_ALNUM = string.ascii_letters + string.digits
_URL64 = _ALNUM + "-_"
_HEX = "0123456789abcdef"
_NAMES = ("alice", "bjørn", "müller", "zoe", "k.lang", "jean-luc", "o_brien", "ivan")
_SURNAMES = ("Meyer", "Nowak", "Ødegård", "Sato", "Peeters", "Kim")


class Planted(NamedTuple):
    """``value`` must not be in the output; ``text`` contains it."""

    kind: str
    value: str
    text: str


def _some(rng: random.Random, letters: str, count: int) -> str:
    text = "".join(rng.choice(letters) for _ in range(count - 1))
    return text + rng.choice("123456789" if set("123456789") & set(letters) else letters)


def _jwt(rng: random.Random) -> str:
    parts = [json.dumps({"alg": "HS256"}), json.dumps({"sub": _some(rng, _HEX, 12)})]
    encoded = [base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in parts]
    return ".".join((*encoded, _some(rng, _URL64[:-2], 43)))


def _pem(rng: random.Random) -> str:
    lines = "\n".join(_some(rng, _ALNUM + "+/", 64) for _ in range(3))
    kind = rng.choice(("RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY"))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----"


def _email(rng: random.Random) -> str:
    name = rng.choice(_NAMES) + rng.choice(("", "+lists", ".2"))
    return f"{name}@{rng.choice(('firma', 'uni-bonn', 'bücher', 'mail.corp-x'))}.{rng.choice(('de', 'com', 'org', 'io'))}"


def _unix(rng: random.Random) -> str:
    root = rng.choice(("home", "Users", "mnt", "opt", "srv", "var/lib", "data"))
    user = _some(rng, string.ascii_lowercase, 6)
    return f"/{root}/{user}/{rng.choice(('My Documents/', '.ssh/', 'src/', ''))}{_some(rng, _HEX, 6)}.txt"


def _windows(rng: random.Random) -> str:
    user = rng.choice(("First Last", "kim", "Max Mustermann", "jsmith2"))
    return f"{rng.choice('CD')}:\\Users\\{user}\\AppData\\{_some(rng, _HEX, 6)}.log"


def _unc(rng: random.Random) -> str:
    return f"\\\\nas{rng.randrange(99)}\\share$\\{_some(rng, string.ascii_lowercase, 7)}\\plan.xlsx"


def _ipv4(rng: random.Random) -> str:
    return f"{rng.choice((10, 172, 192, 83))}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def _ipv6(rng: random.Random) -> str:
    return f"2001:db8:{rng.randrange(1, 9999)}:{rng.randrange(1, 9999)}::{rng.randrange(1, 99)}"


def _basic(rng: random.Random) -> str:
    pair = f"{rng.choice(('ada', 'bob', 'svc'))}:{_some(rng, _ALNUM, 10)}"
    return base64.b64encode(pair.encode()).decode()


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "openai": lambda r: f"sk-{r.choice(('proj-', 'svcacct-', ''))}{_some(r, _ALNUM, 40)}",
    "anthropic": lambda r: f"sk-ant-api03-{_some(r, _URL64, 80)}",
    "openrouter": lambda r: f"sk-or-v1-{_some(r, _HEX, 64)}",
    "huggingface": lambda r: f"hf_{_some(r, string.ascii_letters, 34)}",
    "nvidia": lambda r: f"nvapi-{_some(r, _URL64, 60)}",
    "groq": lambda r: f"gsk_{_some(r, _ALNUM, 52)}",
    "fireworks": lambda r: f"fw_{_some(r, _ALNUM, 22)}",
    "github": lambda r: f"{r.choice(('ghp_', 'gho_', 'ghs_'))}{_some(r, _ALNUM, 36)}",
    "github_fine": lambda r: f"github_pat_{_some(r, _ALNUM, 22)}_{_some(r, _ALNUM, 59)}",
    "gitlab": lambda r: f"glpat-{_some(r, _URL64, 20)}",
    "slack": lambda r: f"xoxb-{_some(r, string.digits, 12)}-{_some(r, _ALNUM, 24)}",
    "aws": lambda r: f"AKIA{_some(r, string.ascii_uppercase + '234567', 16)}",
    "google": lambda r: f"AIza{_some(r, _URL64, 35)}",
    "stripe": lambda r: f"sk_live_{_some(r, _ALNUM, 24)}",
    "npm": lambda r: f"npm_{_some(r, _ALNUM, 36)}",
    "pypi": lambda r: f"pypi-AgEIcHlwaS5vcmc{_some(r, _URL64, 90)}",
    "jwt": _jwt,
    "pem": _pem,
    "email": _email,
    "unix_path": _unix,
    "windows_path": _windows,
    "unc_path": _unc,
    "home_path": lambda r: f"~/{_some(r, string.ascii_lowercase, 6)}/.netrc",
    "file_url": lambda r: f"file:///home/{_some(r, string.ascii_lowercase, 6)}/a%20b.md",
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "mac": lambda r: ":".join(_some(r, _HEX, 2) for _ in range(6)),
    "host": lambda r: f"{_some(r, string.ascii_lowercase, 5)}{r.randrange(9)}.{r.choice(('lab.internal', 'local', 'corp.example.com', 'fritz.home.arpa'))}",
    "random": lambda r: _some(r, _ALNUM, 48),
}  # fmt: skip

# Values that are secrets only by what is around them.
FRAMED: dict[str, Callable[[random.Random], tuple[str, str]]] = {}


def _framed(kind: str, frame: str, make: Callable[[random.Random], str]) -> None:
    def planted(rng: random.Random) -> tuple[str, str]:
        value = make(rng)
        return value, frame.replace("@@", value)

    FRAMED[kind] = planted


_framed("bearer", "Authorization: Bearer @@", lambda r: _some(r, _ALNUM, 28))
_framed("bearer_lower", "authorization: bearer @@", lambda r: _some(r, _HEX, 32))
_framed("basic", "Authorization: Basic @@", _basic)
_framed("url_password", "postgresql://app:@@@db.example.com:5432/x", lambda r: _some(r, _ALNUM, 12))
_framed("url_token", "https://@@@git.example.com/a/b.git", lambda r: _some(r, _ALNUM, 20))
_framed(
    "url_parameter",
    "https://api.example.com/v1?user=3&api_key=@@&x=1",
    lambda r: _some(r, _ALNUM, 20),
)
_framed("password_json", '{"user": "ada", "password": "@@"}', lambda r: _some(r, _ALNUM, 9))
_framed("password_env", "export DB_PASSWORD='@@'", lambda r: _some(r, _ALNUM + "!%", 12))
_framed("aws_secret", "aws_secret_access_key = @@", lambda r: _some(r, _ALNUM + "/+", 40))
_framed("option", "tool --api-key @@ run", lambda r: _some(r, _ALNUM, 16))
_framed("client_secret", "clientSecret: '@@',", lambda r: _some(r, _ALNUM, 14))


def planted(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Kind, value and the smallest text that shows it, without end."""
    kinds = [*MAKERS, *FRAMED]
    while True:
        rng.shuffle(kinds)
        for kind in kinds:
            if kind in MAKERS:
                value = MAKERS[kind](rng)
                yield kind, value, value
            else:
                yield (kind, *FRAMED[kind](rng))


EMBEDDINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("alone", lambda text: text),
    ("sentence", lambda text: f"Please look at {text} and tell me what is wrong with it."),
    ("end of a sentence", lambda text: f"I think it is {text}."),
    ("quoted", lambda text: f'print("{text}")'),
    ("code", lambda text: f"def f():\n    x = '{text}'  # do not share\n    return x"),
    ("markdown", lambda text: f"```sh\n$ echo {text}\n```\nand `{text}` too"),
    ("log", lambda text: f"2026-01-31T09:30:00Z ERROR [worker-3] value={text} retry=1"),
    ("json", lambda text: json.dumps({"note": text, "n": 1})),
    ("json in json", lambda text: json.dumps({"arguments": json.dumps({"cmd": ["sh", text]})})),
    ("json thrice", lambda text: json.dumps([json.dumps({"a": json.dumps({"b": text})})])),
    ("json in prose", lambda text: f"the body was {json.dumps({'note': text})} as you see"),
    ("escaped newline", lambda text: f"first line\\n{text}\\nthird line"),
    ("list", lambda text: f"- one\n- {text}\n- three"),
    ("tuple", lambda text: f"({text}, 3)"),
    ("xml", lambda text: f"<value>{text}</value>"),
    ("csv", lambda text: f"1,{text},3"),
    ("colour", lambda text: f"\x1b[31m{text}\x1b[0m"),
    ("yaml", lambda text: f"settings:\n  value: {text}\n"),
    ("key", lambda text: json.dumps({text: 1})),
)  # fmt: skip


def plant(seed: int, count: int) -> Iterator[Planted]:
    """``count`` secrets in changing places; the place is in ``kind``."""
    rng = random.Random(seed)
    source = planted(rng)
    for number in range(count):
        kind, value, text = next(source)
        where, embed = EMBEDDINGS[(number * 7 + number // len(EMBEDDINGS)) % len(EMBEDDINGS)]
        yield Planted(f"{kind} in {where}", value, embed(text))


def forms(value: str) -> set[str]:
    """A value as it may occur in an output."""
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1],
            quote(value, safe="")}  # fmt: skip

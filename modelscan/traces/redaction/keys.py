"""Keys of known services, tokens, passwords: by their form or by the name before them. Pure."""

from __future__ import annotations

import base64
import binascii
import itertools
import re

from modelscan.traces.redaction.detector import PLACEHOLDER, START, Detector, detector, has_digit

_Q = r"\\{0,8}[\"']"  # a quotation mark, however often it was escaped


def _service(kind: str, form: str, *marks: str) -> Detector:
    return detector(kind, START + form, *marks)


SERVICES: tuple[Detector, ...] = (
    _service("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{12,}", "sk-ant-"),
    _service("openrouter_key", r"sk-or-[A-Za-z0-9_-]{12,}", "sk-or-"),
    _service("openai_key", r"sk-(?:proj|svcacct|admin|None|live|test)-[A-Za-z0-9_-]{12,}", "sk-"),
    _service("langfuse_key", r"[sp]k-lf-[A-Za-z0-9-]{12,}", "k-lf-"),
    detector(
        "openai_key", START + r"sk[-_][A-Za-z0-9_-]{16,}", "sk-", "sk_",
        check=lambda value, _: re.search(r"(?=[A-Za-z]*\d)[A-Za-z0-9]{10}", value) is not None,
    ),
    _service("huggingface_token", r"(?:hf|api_org)_[A-Za-z0-9]{16,}", "hf_", "api_org_"),
    _service("nvidia_key", r"nvapi-[A-Za-z0-9_-]{16,}", "nvapi-"),
    _service("groq_key", r"gsk_[A-Za-z0-9]{16,}", "gsk_"),
    detector("fireworks_key", START + r"fw_[A-Za-z0-9]{16,}", "fw_", check=has_digit),
    _service("xai_key", r"xai-[A-Za-z0-9]{20,}", "xai-"),
    _service("perplexity_key", r"pplx-[A-Za-z0-9]{20,}", "pplx-"),
    _service("replicate_token", r"r8_[A-Za-z0-9]{20,}", "r8_"),
    _service("together_key", r"tgp_v1_[A-Za-z0-9_-]{16,}", "tgp_v1_"),
    _service("cerebras_key", r"csk-[a-z0-9]{20,}", "csk-"),
    _service("gpustack_key", r"gpustack_[A-Za-z0-9_]{12,}", "gpustack_"),
    _service("github_token", r"gh[pousr]_[A-Za-z0-9]{16,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _service("github_token", r"github_pat_[A-Za-z0-9_]{16,}", "github_pat_"),
    _service("gitlab_token", r"gl[a-z]{2,5}-[A-Za-z0-9_.-]{16,}", "gl"),
    _service("slack_token", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}", "xox"),
    _service("slack_token", r"xapp-\d-[A-Za-z0-9-]{10,}", "xapp-"),
    detector("slack_webhook", r"hooks\.slack\.com/(?P<v>[A-Za-z0-9/_-]{20,})", "hooks.slack.com"),
    detector(
        "discord_webhook", r"discord(?:app)?\.com/api/webhooks/(?P<v>\d+/[\w-]{20,})", "webhooks"
    ),
    _service("aws_key_id", r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])",
             "akia", "asia", "abia", "acca", "aroa", "aida"),
    _service("google_key", r"AIza[0-9A-Za-z_-]{30,}", "aiza"),
    _service("google_token", r"ya29\.[\w-]{20,}", "ya29."),
    _service("google_secret", r"GOCSPX-[\w-]{20,}", "gocspx-"),
    _service("google_token", r"1//0[\w-]{30,}", "1//0"),
    _service("stripe_key", r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}", "k_live_", "k_test_"),
    _service("webhook_secret", r"whsec_[A-Za-z0-9+/=]{16,}", "whsec_"),
    _service("sendgrid_key", r"SG\.[\w-]{16,}\.[\w-]{16,}", "sg."),
    _service("twilio_key", r"(?:SK|AC)[0-9a-f]{32}(?![A-Za-z0-9])", "sk", "ac"),
    _service("npm_token", r"npm_[A-Za-z0-9]{20,}", "npm_"),
    _service("pypi_token", r"pypi-[A-Za-z0-9_-]{20,}", "pypi-"),
    _service("docker_token", r"dckr_(?:pat|oat)_[\w-]{16,}", "dckr_"),
    _service("telegram_token", r"\d{8,10}:AA[A-Za-z0-9_-]{30,}", ":aa"),
    _service("discord_token", r"[MNO][A-Za-z0-9_-]{22,27}\.[\w-]{6}\.[\w-]{27,}", "."),
    _service("databricks_token", r"dapi[a-f0-9]{32}", "dapi"),
    _service("vault_token", r"hv[sbr]\.[\w-]{20,}", "hvs.", "hvb.", "hvr."),
    _service("shopify_token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shp"),
    _service("digitalocean_token", r"do[opr]_v1_[a-f0-9]{40,}", "_v1_"),
    _service("grafana_token", r"gl(?:c|sa)_[A-Za-z0-9+/=_]{20,}", "glc_", "glsa_"),
    _service("notion_token", r"(?:ntn_|secret_)[A-Za-z0-9]{30,}", "ntn_", "secret_"),
    _service("linear_key", r"lin_(?:api|oauth)_[A-Za-z0-9]{20,}", "lin_"),
    _service("postman_key", r"PMAK-[a-f0-9-]{30,}", "pmak-"),
    _service("sentry_token", r"sntry[su]_[A-Za-z0-9+/=_]{20,}", "sntry"),
    _service("newrelic_key", r"NR(?:AK|II|IQ)-[A-Za-z0-9_-]{20,}", "nrak-", "nrii-", "nriq-"),
    _service("supabase_key", r"sb[p]_[a-f0-9]{30,}", "sbp_"),
    _service("heroku_key", r"HRKU-[A-Za-z0-9_-]{20,}", "hrku-"),
    _service("figma_token", r"fig[duo]_?[A-Za-z0-9_-]{30,}", "fig"),
    _service("airtable_token", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{40,}", "pat"),
    _service("mailgun_key", r"key-[0-9a-f]{32}(?![0-9a-f])", "key-"),
    _service("mailchimp_key", r"[0-9a-f]{32}-us\d{1,2}(?!\d)", "-us"),
    _service("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}", "age-secret-key"),
    _service("jwt", r"eyJ[\w-]{6,}(?:\.[\w-]{6,}){2,4}", "eyj"),
)  # fmt: skip

_PEM = r"-{4,5} ?BEGIN [A-Z0-9 ]{2,40}-{4,5}.*?(?:-{4,5} ?END [A-Z0-9 ]{2,40}-{4,5}|\Z)"


def _is_basic(value: str, _: re.Match[str]) -> bool:
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
    r"|password|passwd|passphrase|passwort|credentials?|client[_-]?secret|secret(?:s|[_-]?key)?"
    r"|(?:auth|access|refresh|bearer|hf|hub|id|session|bot|user|github|gitlab|csrf|xsrf|slack|oauth)[_-]?token"
    r"|connection[_-]?string|pwd)|[A-Z0-9_]{1,60}_(?:TOKEN|KEY|PASS|PWD|AUTH)|[Tt]oken|TOKEN)"
)
_NAMED = re.compile(rf"{NAME}\Z")
_HARMLESS = re.compile(
    r"(?i)(?:none|null|true|false|unset|missing|required|optional|string|str|bytes|empty|default"
    r"|xxx+|\*+|\.{3}|…|<[\w ./-]+>|\$\{?[A-Z_a-z]\w*\}?|\$\(.*|\{[\w.!]*\}|%\([^)]*\)[sd]|%\w+%"
    r"|env:\w+|file:\S+|your[-_ ].*|example.*|changeme"
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
    )


_CALL = re.compile(r"[A-Za-z_][A-Za-z_.]*\Z")


def _is_assigned(value: str, match: re.Match[str]) -> bool:
    """A name with a colon and a space is prose, unless the value looks like none."""
    if not is_secret_value(value) or "(" in value:
        return False
    if match.string[match.end("v") :][:1] == "(" and _CALL.match(value):  # a function is called
        return False
    if match["name"].lower() == "token" and len(value) < 12:  # a model's words are tokens, too
        return False
    if match["quote"] or "=" in match["sign"]:
        return True
    return any(not one.isalpha() for one in value.rstrip(".,;:!?")) and value[0] != "-"


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


NAMED: tuple[Detector, ...] = (
    detector("pem", _PEM, "begin ", flags=re.DOTALL),
    detector(
        "bearer", r"(?i)\bbearer(?:\s|%20|\+|\\u0020|:)+(?P<v>[A-Za-z0-9._~+/-]{8,}={0,2})",
        "bearer", check=_is_bearer,
    ),
    detector(
        "basic", r"(?i)\bbasic(?:\s|%20|\+|\\u0020)+(?P<v>[A-Za-z0-9+/_-]{6,}={0,2})", "basic",
        check=_is_basic,
    ),
    detector(
        "authorization",
        rf"(?i)\b(?:proxy-)?authorization{_Q}?\s*[:=]\s*(?:{_Q})?(?:[a-z-]{{2,20}}\s+)?"
        r"(?P<v>[A-Za-z0-9._~+/=-]{8,})",
        "authorization", check=_is_bearer,
    ),
    detector(
        "cookie", rf"(?i)\b(?:set-)?cookie{_Q}?\s*:\s*(?:{_Q})?(?P<v>[^\r\n\"'\\]*=[^\r\n\"'\\]+)",
        "cookie",
    ),
    detector(
        "url_password", r"://[^/\s:@\"'<>\[\]]{0,100}:(?P<v>[^\s@\"'<>\[\]/]{1,200})@", "://",
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
        r"(?i)\b(?:password|passphrase|passwort|kennwort|mot de passe|contrase(?:ñ|n)a|passcode"
        r"|api[ _-]?key|token|secret)"
        r"(?:\s+(?:is|was|ist|lautet|est|es|are|to|will be|set to|changed to|=))?\s*:?\s+"
        r"[\"'`]?(?P<v>[^\s\"'`]{6,})",
        "pass", "key", "token", "secret", "kennwort", "contrase", check=_is_told,
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
        rf"(?<![\w-])(?i:setx|setenv|putenv|set\s+-\w+|config\s+set|secret\s+set)\s+(?:{NAME})\s+(?:{_Q})?"
        r"(?P<v>[^\s\"',;]{4,})",
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


_HASH_NAME = re.compile(r"(?i)sha\d{1,3}[-:=]\Z")


def _is_random(value: str, match: re.Match[str]) -> bool:
    """A long mixture of small and capital letters and digits, as no word or name is."""
    if _HASH_NAME.search(match.string, max(0, match.start() - 8), match.start()):
        return False
    if value.startswith(("call_", "chatcmpl-", "toolu_", "msg_", "resp_", "cmpl-", "gen-", "fc_",
                         "req_", "rs_", "run_", "file-", "asst_", "thread_", "sha256-", "sha512-",
                         "sha384-")):  # fmt: skip
        return False
    classes = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "-"
               for c in value]  # fmt: skip
    changes = sum(a != b for a, b in itertools.pairwise(classes))
    enough = "d" in classes and min(classes.count(one) for one in "ul") >= 4
    return enough and changes >= 0.33 * len(value)


RANDOM: tuple[Detector, ...] = (
    detector("token", START + r"[A-Za-z0-9_-]{32,}(?![A-Za-z0-9])", check=_is_random),
    detector("token", START + r"[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9])", check=_is_random),
)

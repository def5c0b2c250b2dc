"""Redaction: planted secrets of many kinds in many places, prose, what is never redacted."""

from __future__ import annotations

import json
import random
import re
import string
from pydoc_data import topics
from typing import Any

import pytest

from modelscan.traces.redaction.redact import Redactor, find_secrets
from tests.support.planted_secrets import FRAMED, MAKERS, forms, plant


def redacted(value: Any, **known: str) -> Any:
    redactor = Redactor({text: kind for kind, text in known.items()})
    result = redactor.value(value)
    assert redactor.leaks(result) == []
    return result


def test_two_hundred_secrets_of_more_than_twenty_kinds_leave_nothing() -> None:
    assert len(MAKERS) + len(FRAMED) >= 20
    for seed in range(4):
        redactor = Redactor()
        for one in plant(seed, 200):
            result = redactor.value({"content": one.text})
            output = json.dumps(result, ensure_ascii=False)
            assert not [form for form in forms(one.value) if form in output], (one, output)
            assert redactor.leaks(result) == [], one
            assert "[redacted:" in output
        assert sum(redactor.counts.values()) >= 200


def test_ten_thousand_words_of_prose_are_unchanged() -> None:
    """Python's own language reference, without its lines that state a path of a machine."""
    lines = "\n".join(topics.topics.values()).splitlines()
    words = " ".join(line for line in lines if "/usr/local" not in line).split(" ")
    prose = " ".join(words[:14_000])  # with empty ones
    assert len(prose.split()) > 10_000
    assert redacted(prose) == prose


@pytest.mark.parametrize("text", [
    "3f9c8a7d6e5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d", "sha256:" + "ab12" * 16,
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "550e8400-e29b-41d4-a716-446655440000", "env:HF_TOKEN", "api_key: env:OPENAI_API_KEY",
    "chatcmpl-9XyZaBcDeFgHiJkLmNoPqRsTuV", "call_Ab12Cd34Ef56Gh78Ij90Kl12",
    "toolu_01A09q90qw90lq917835lq9", "git@github.com:org/repo.git", "commit 2fa0d76",
    "POST /v1/chat/completions HTTP/1.1", "127.0.0.1:8080", "http://localhost:8900/v1",
    "https://huggingface.co/Qwen/Qwen3-8B", "max_tokens=512", "eos_token = '</s>'",
    "react@18.2.0", "vllm==0.6.3.1", "std::vector<int>", "12:30:45", "Face::add",
    "basic understanding of authentication", "risk-based-approach-2024-for-everyone",
    "#!/usr/bin/env python3", "The password: must be long", "token: str = field()",
    "s/foo/bar/g", "llama.cpp 2026.10.11549", "\\alpha\\beta", "C++: Bad::Face",
])  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text
    assert redacted({text: [text]}) == {text: [text]}


@pytest.mark.parametrize(("text", "kind"), [
    ("/home/max/my projects/plan.txt", "path"), ("\\\\?\\C:\\Users\\kim\\x.txt", "path"),
    ("\\\\wsl$\\Ubuntu\\home\\max\\a", "path"), ("c:/Users/Max Power/thing", "path"),
    ("/mnt/c/Users/Max/x", "path"), ("%2Fhome%2Fmax%2Fa", "path"), ("~max/x", "path"),
    ("fe80::1%eth0", "host"), ("http://[2001:db8::1]:8080/x", "host"),
    ("http://gpubox:8000/v1", "host"), ("10.0.0.0/8", "host"), ("ssh kim@buildbox", "host"),
    ("mailto:a.b@c.de", "email"), ("ada%40firma.de", "email"), ("jürgen@müller.de", "email"),
    ("redis://:hunter22@cache/0", "url_password"), ("root:toor99@db", "url_password"),
    ("--password hunter2", "secret"), ("my password is hunter2", "secret"),
    ('api_key="abc def"', "secret"), ("Cookie: sid=abcdef0123456789", "cookie"),
    ("X-Api-Key: 0123456789abcdef", "secret"), ('{\\"password\\": \\"hunter2\\"}', "secret"),
])  # fmt: skip
def test_neighbours_of_the_kinds_are_found(text: str, kind: str) -> None:
    assert f"[redacted:{kind}:1]" in redacted(text)


@pytest.mark.parametrize("text", [
    "redis://:p/s#KEPTaa1b2c3@cache:6379/0", "curl -b 'sid=KEPTaa1b2c3' https://x.example",
    'curl --cookie "theme=dark; sid=KEPTaa1b2c3" https://x.example', "curl -b sid=KEPTaa1b2c3 x.example",
    "setx GITHUB_TOKEN KEPTaa1b2c3", "set -x OPENAI_API_KEY KEPTaa1b2c3",
    "db.example.com:5432:app:bob:KEPTaa1b2c3", "localhost:*:*:bob:KEPTaa1b2c3",
    "<password>KEPTaa1b2c3</password>", "<ns:apiKey type='x'>KEPTaa1b2c3</ns:apiKey>",
    "define('DB_PASSWORD', 'KEPTaa1b2c3');", 'os.environ["API_KEY"] = "KEPTaa1b2c3"',
    'monkeypatch.setenv("HF_TOKEN", "KEPTaa1b2c3")', "das Passwort lautet KEPTaa1b2c3",
    "le mot de passe est KEPTaa1b2c3", "la contraseña es KEPTaa1b2c3", "password changed to KEPTaa1b2c3",
    r"open %USERPROFILE%\KEPTaa1b2c3", r"$env:APPDATA\KEPTaa1b2c3", "cat $HOME/KEPTaa1b2c3",
    "cat ${HOME}/KEPTaa1b2c3/x",
])  # fmt: skip
def test_other_ways_to_write_them(text: str) -> None:
    for form in (text, {"content": f"Hi, {text} ok?"}, [{"role": "user", "content": f"({text})"}]):
        assert "KEPTaa1b2c3" not in json.dumps(redacted(form))


@pytest.mark.parametrize("text", [
    "- name: DB_PASSWORD\n  value: KEPTaa1b2c3", '{"name": "API_KEY", "value": "KEPTaa1b2c3"}',
    'variable "db_password" {\n  default = "KEPTaa1b2c3"\n}', "ansible_ssh_pass: KEPTaa1b2c3",
    'psk="KEPTaa1b2c3"', 'name="password"\r\n\r\nKEPTaa1b2c3\r\n--x',
    "requests.get(u, auth=('bob', 'KEPTaa1b2c3'))", "CREATE USER bob IDENTIFIED BY 'KEPTaa1b2c3';",
    "| password | KEPTaa1b2c3 |", "**Password:** KEPTaa1b2c3", "**API key**: `KEPTaa1b2c3`",
    '<input type="password" value="KEPTaa1b2c3">', '<input value="KEPTaa1b2c3" type="password">',
    'expect "Password:"\nsend "KEPTaa1b2c3\\r"', "ENV['SECRET_KEY_BASE'] = 'KEPTaa1b2c3'",
    "storePassword 'KEPTaa1b2c3'", "<key>password</key>\n<string>KEPTaa1b2c3</string>",
    '{"auths": {"r": {"auth": "Ym9iOnU4anpQZGUwSWd4TGQ2R24="}}}', "write to KEPTaa1b2c3\uff20example.org",
])  # fmt: skip
def test_secrets_of_other_formats(text: str) -> None:
    for form in (text, {"content": f"see: {text} ok?"}):
        shown = json.dumps(redacted(form))
        assert "KEPTaa1b2c3" not in shown and "Ym9iOnU4" not in shown


def test_a_pair_of_name_and_value() -> None:
    pair = {"name": "API_KEY", "value": "KEPTaa1b2c3"}
    assert redacted([pair])[0]["value"].startswith("[redacted:secret:")
    assert redacted({"name": "LOG_LEVEL", "value": "debug7"}) == {
        "name": "LOG_LEVEL",
        "value": "debug7",
    }


@pytest.mark.parametrize("text", [
    "token = tokenizer.next()", "secret = load_secret()", "password = input('Password: ')",
    "names = ['password', 'username']", "http://localhost:3000/users/@me", "curl -b cookies.txt x",
    "run `modelscan config set hf_token env:HF_TOKEN`", "| password | the word to log in |", "**Password:** must be long", "| tokens | 4096 |",
    '<input type="password">', "auth=(user, password)", "name: LOG_LEVEL\n  value: debug7",
    "<password>string</password>", "ratio 1::2", "https://example.com:443/@scope/package",
])  # fmt: skip
def test_code_and_names_stay(text: str) -> None:
    assert redacted(text) == text


def mixed(letters: str, count: int) -> str:
    """Of letters and digits as a service makes them; the same every time."""
    rng = random.Random(letters)
    return "".join(rng.choice(letters) for _ in range(count))


HEX, BASE36 = "0123456789abcdef", string.ascii_lowercase + string.digits
BASE62 = string.ascii_letters + string.digits


@pytest.mark.parametrize("form", [
    "lsv2_pt_{hex32}_{hex10}", "fc-{hex32}", "bkua_{hex40}", "rubygems_{hex40}", "oy2{b36_43}", "pul-{hex40}",
    "{b62_14}.atlasv1.{b62_60}", "dt0c01.{up24}.{up64}", "sq0atp-{b62_22}", "rdme_{b36_70}", "mlsn.{hex64}",
    "access_token$production${b36_16}${hex32}", "napi_{b36_64}", "npg_{b62_14}", "fpk_{b62_22}", "rpa_{up44}",
    "sk-helicone-{b36_7}-{b36_8}-{b36_9}-{b36_7}", "LTAI5t{b62_18}", "SCW{up17}", "sgp_{hex16}_{hex40}",
    "squ_{hex40}", "shippo_live_{hex40}", "pat.{b62_22}.{hex24}.{b62_20}", "v1.0-{hex24}-{hex146}", "pnu_{b36_36}",
    "{hex32}-{hex8}-{hex8}", "https://hooks.zapier.com/hooks/catch/531933/{b36_7}/", "tk_{b36_29}", "x8z8Q~{b62_34}",
    "$6${b62_16}${b62_86}", "$2b$12${b62_53}", "$argon2id$v=19$m=65536,t=3,p=4${b62_22}${b62_43}", "zz-{b62_24}",
])  # fmt: skip
def test_keys_of_more_services(form: str) -> None:
    def part(match: re.Match[str]) -> str:
        kind, count = re.fullmatch(r"(\D+|b62_|b36_)(\d+)", match[1]).groups()
        letters = {
            "hex": HEX,
            "b36_": BASE36,
            "b62_": BASE62,
            "up": string.ascii_uppercase + "234567",
        }
        values.append(mixed(letters[kind], int(count)))
        return values[-1]

    values: list[str] = []
    key = re.sub(r"\{(\w+)\}", part, form)
    for text in (key, f"use `{key}` now", json.dumps({"a": json.dumps({"b": key})})):
        shown = json.dumps(redacted({"content": text}))
        assert not [one for one in values if one in shown], shown


@pytest.mark.parametrize("text", [
    "kind: Secret\nstringData:\n  db-pw: KEPTaa1b2c3\n  user: KEPTaa1b2c3", "data:\n  a: KEPTaa1b2c3\nkind: Secret",
    json.dumps({"kind": "Secret", "data": {"pw": "KEPTaa1b2c3"}}), "password: |\n  KEPTaa1b2c3", "api_key: >-\n    KEPTaa1b2c3\nx: 1",
    "machine a.example.com login bob password KEPTaabbcc", "WIFI:S:home;T:WPA;P:KEPTaa1b2c3;;", "gh secret set API_KEY --body KEPTaa1b2c3",
    "-setenv API_TOKEN KEPTaa1b2c3\n+removed", "SET PASSWORD FOR 'bob'@'%' = PASSWORD('KEPTaa1b2c3')", "SECRET_KEY = 'a1(KEPTaa1b2c3)$x'",
    'Authorization: Digest username="bob", nonce="KEPTaa1b2c3", response="KEPTaa1b2c3"', "пароль: KEPTaa1b2c3", "密码：KEPTaa1b2c3",
    "パスワードは KEPTaa1b2c3", "a senha é KEPTaa1b2c3", "la password è KEPTaa1b2c3", "Private-Lines: 1\nKEPTaa1b2c3KEPTaa1b2c3\nx",
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=KEPTaa1b2c3", "password: KePtXyZwQaBc",
])  # fmt: skip
def test_secrets_of_more_formats(text: str) -> None:
    for form in (
        text,
        {"content": f"see:\n{text}"},
        "body=" + json.dumps({"a": text}, ensure_ascii=False),
    ):
        shown = json.dumps(redacted(form))
        assert "KEPT" not in shown and "KePt" not in shown, shown


@pytest.mark.parametrize("text", [
    "def f(user='', passwd='', acct='')", "print('line %s:\\n%s' % x)", "characters '\\\\r\\\\n' in it",
    "password=self.password", "api_key=api_key, url=url", "token = Keyword.Type", "password: typing.Optional[bytes]",
    "self.password = config['password']", "Qwen3_5MoeForConditionalGeneration2", "Qwen3-235B-UD-Q4_K_XL-00001-of-00003.gguf",
    "AbstractSingletonProxyFactoryBean2Impl3Test", "postgresql://USER:env:NAME@HOST/DATABASE", "(`--api-key env:NAME`).",
    '"-----BEGIN PRIVATE KEY-----" and "-----END PRIVATE KEY-----"', "msg_01XFDUDYJgAACzvnptvVoYEL", "0.6.3.1", "kind: SecretStore",
    "asst_abc123DEF456ghi789JKL012", "OPENAI_API_KEY=sk-...", "HF_TOKEN=hf_xxx", "data:\n  model: qwen\n  size: 8\n",
    "nginx@sha256:" + "9f86d081" * 8, "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
])  # fmt: skip
def test_names_of_programs_and_models_stay(text: str) -> None:
    assert redacted(text) == text
    assert redacted({"content": f'Say "{text}" please'}) == {"content": f'Say "{text}" please'}


@pytest.mark.parametrize("line", [
    "DB_PASSWORD=correct.horse.battery", "password=supersecret", "export TOKEN=master_key_of_all",
])  # fmt: skip
def test_words_are_passwords_where_no_program_names_them(line: str) -> None:
    assert line.partition("=")[2] not in redacted(line)


def test_equal_values_have_one_number() -> None:
    text = "a@b.de wrote to c@d.de and to a@b.de"
    assert (
        redacted(text) == "[redacted:email:1] wrote to [redacted:email:2] and to [redacted:email:1]"
    )


def test_known_values_are_removed_wherever_they_are() -> None:
    value = {"note": "xMyS3cretx, kaiserin at tower", "kaiserin": "kaiserinnen"}
    result = redacted(value, secret="MyS3cret", user="kaiserin", host="tower")
    assert result == {
        "note": "x[redacted:secret:1]x, [redacted:user:1] at [redacted:host:1]",
        "[redacted:user:1]": "kaiserinnen",
    }


def test_a_value_under_a_secret_name_goes_whole() -> None:
    body = {"password": "two words", "max_tokens": "12", "token": "env:HF_TOKEN", "apiKey": "abcd"}
    assert redacted(body) == {
        "password": "[redacted:secret:1]", "max_tokens": "12", "token": "env:HF_TOKEN",
        "apiKey": "[redacted:secret:2]",
    }  # fmt: skip


def test_json_in_a_text_stays_json() -> None:
    inner = json.dumps({"path": "/home/max/a", "n": 1})
    result = redacted({"arguments": inner})
    assert json.loads(result["arguments"]) == {"path": "[redacted:path:1]", "n": 1}
    untouched = '{ "n" :  1.50 }'
    assert redacted(untouched) == untouched


def test_a_long_text_takes_no_quadratic_time() -> None:
    """A body of a megabyte in one word, and one of dots: both are read to the end."""
    for text in ("a" * 1_000_000, "a." * 200_000, "/" * 100_000, " /home" * 50_000):
        assert list(find_secrets(text)) == [] or re.search("home", text)


COMMAND_LINES = [
    "-p {}", "-p{}", "--password {}", "--password={}", "-u kim:{}", "--user kim:{}", "PGPASSWORD={} psql",
    "mysql -p{}", "mysql -u root -p{} db", "mysql -p'{}' db", "mysqldump --password={} db",
    "mariadb -uroot -p{}", "curl -u kim:{} http://x", "curl -ukim:{} x",
    "curl --user=kim:{} x", "curl --proxy-user kim:{} x", "wget --http-password={} x",
    "http -a kim:{} GET x", "sshpass -p {} ssh x", "sshpass -p{} ssh x", "SSHPASS={} sshpass -e",
    "redis-cli -a {} ping", "mongosh -u kim -p {}", "docker login -u kim -p {} reg.io",
    "az login -u kim -p {}", "ldapsearch -x -w {}", "sqlcmd -S x -U sa -P {}", "plink -pw {} x",
    "openssl enc -k {}", "openssl rsa -passin pass:{}", "keytool -storepass {}",
    "smbclient //x/y -U kim%{}", "lftp -u kim,{} x", "htpasswd -b file kim {}", "vault login {}",
    "nmcli dev wifi connect x password {}", "net use x: /user:kim {}", "7z a -p{} x.7z",
    "unzip -P {} x.zip", "gpg --batch --passphrase {} -d x", "gpg --passphrase '{}' x",
    "echo {} | sudo -S ls", "echo 'root:{}' | chpasswd", "svn --username kim --password {} co",
    "twine upload -u kim -p {} dist/*", "DB_PASS={}", "MYSQL_PWD={}", "export RESTIC_PASSWORD='{}'",
    '["mysql", "-u", "root", "-p{}"]', 'subprocess.run(["curl", "-u", "kim:{}", url])',
    "--db-password {}", "--passwd {}", "ipmitool -U kim -P {}", "sudo -u kim sshpass -p {} scp a b",
    "mosquitto_pub -u kim -P {} -t x", "echo {} | docker login --password-stdin",
]  # fmt: skip


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_passwords_of_command_lines(line: str) -> None:
    """Of letters and digits, and of letters alone where the program is known."""
    for value in ("hunter2", "Tr0ub4dor", "s3cr_et9"):
        known = line.format(value)
        for text in (known, f"$ {known}\n", json.dumps({"command": known})):
            assert value not in redacted(text), text
        assert value not in json.dumps(redacted({"arguments": json.dumps({"cmd": known})}))
    if not line.startswith("-p"):
        assert "hunter" not in redacted(line.format("hunter"))


@pytest.mark.parametrize("words", [
    ["mysql", "-u", "root", "-phunter2"], ["curl", "-s", "-u", "kim:hunter2", "http://x"],
    ["docker", "login", "-u", "kim", "-p", "hunter2"], ["tool", "--password", "hunter2"],
    ["gpg", "--passphrase", "hunter2 and more"], ["redis-cli", "-a", "hunter2"],
])  # fmt: skip
def test_passwords_of_lists_of_words(words: list[str]) -> None:
    assert "hunter2" not in json.dumps(redacted({"arguments": {"argv": words}}))


@pytest.mark.parametrize("text", [
    "mkdir -p build2", "mkdir -p build22/x", "ssh -p 2222 x", "docker run -p 8080:80 nginx",
    "docker run -u 1000:1000 x", "docker run --user root:root x", "patch -p1 < x", "cp -p file12 x",
    "pytest -p no:cacheprovider", "chown -R kim:users x", "the option --password takes a value",
    "use --password to log in", "nmap -p 1-65535 x", "-p 8080", "claude -p 'fix bug42'",
    "python -u script.py", "sudo -u postgres psql", "mysql -h localhost -p mydb12",
    "curl -p x", "sort -u file:1", "COMPASS=north", "BYPASS=1", "git rebase -pack-stop-early~1",
    "MYSQL_PWD=$PASSWORD", "--password $PASSWORD", "mysql -p$PASSWORD", "--password <password>",
])  # fmt: skip
def test_command_lines_without_a_password_stay(text: str) -> None:
    assert redacted(text) == text
    assert redacted(text.split(" ")) == text.split(" ")

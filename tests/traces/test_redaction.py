"""Redaction: planted secrets of many kinds in many places, prose, what is never redacted."""

from __future__ import annotations

import json
import re
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
    "token = tokenizer.next()", "secret = load_secret()", "password = input('Password: ')",
    "names = ['password', 'username']", "http://localhost:3000/users/@me", "curl -b cookies.txt x",
    "<password>string</password>", "ratio 1::2", "https://example.com:443/@scope/package",
])  # fmt: skip
def test_code_and_names_stay(text: str) -> None:
    assert redacted(text) == text


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

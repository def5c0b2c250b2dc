"""A systemd user unit for an engine that is installed on the machine."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.deploy.exports.documents import comments
from modelscan.deploy.exports.subject import LOOPBACK, PORT, ExportSubject
from modelscan.deploy.unit_words import unit_word, unit_words

# What an engine does not need. A user's own service manager cannot enforce more.
_CONFINED = ("NoNewPrivileges=yes", "UMask=0077", "LimitCORE=0")


def export(subject: ExportSubject) -> str:
    """The unit."""
    use = (
        f"~/.config/systemd/user/{subject.name}.service, then",
        f"systemctl --user daemon-reload && systemctl --user start {subject.name}",
        f"http://{LOOPBACK}:{PORT}/v1; keys such as HF_TOKEN come from the EnvironmentFile below",
    )
    lines = [
        "[Unit]", f"Description={subject.plan.model} with {subject.plan.backend}",
        "", "[Service]", "Type=exec", *_service(subject), "Restart=on-failure", "RestartSec=5",
        "TimeoutStopSec=60", *_CONFINED, "", "[Install]", "WantedBy=default.target",
    ]  # fmt: skip
    return comments((*subject.notes, *use)) + "\n".join(lines) + "\n"


def _service(subject: ExportSubject) -> Iterator[str]:
    for name, value in subject.environment(contained=False).items():
        yield f"Environment={unit_word(f'{name}={value}')}"
    yield f"EnvironmentFile=-%h/.config/{subject.name}.env"
    # systemd looks for a program in fixed folders only; env looks in the user's PATH.
    yield f"ExecStart=/usr/bin/env {unit_words(subject.command(LOOPBACK, native=True))}"

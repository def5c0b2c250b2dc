"""A certificate authority of one's own, for a control plane, its nodes and its clients.

The folder has ``ca.pem`` and ``ca.key``, and for each name ``NAME.pem`` and ``NAME.key`` (mode
0600). Every certificate may be used by a server and by a client (of a client's: only the latter),
because a node is both.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.state.files import ensure_dir, write_atomic
from modelscan.state.locks import hold

CA = "ca"
CA_DAYS, DAYS = 3650, 365
_SKEW = timedelta(minutes=5)  # clocks of machines differ
_RENEWED_BELOW = 1 / 3  # of the lifetime left
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_HOST = re.compile(r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,62}\.?)*$")
CertificateUse = Literal["authority", "node", "client"]


@dataclass(frozen=True, slots=True)
class CertificateShown:
    """One certificate. ``hosts`` are the names and addresses that it is valid for; times RFC 3339
    UTC. ``problem``: why it cannot be used, e.g. that it has expired or is of another authority.
    """

    name: str
    use: CertificateUse
    hosts: tuple[str, ...]
    expires_at: str
    days_left: int
    serial: str
    fingerprint_sha256: str
    cert_file: str
    key_file: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CertificatesShown:
    """The certificates of a folder, the authority first. ``ca_file``: what the others trust."""

    folder: str
    ca_file: str
    certificates: tuple[CertificateShown, ...]


@dataclass(frozen=True, slots=True)
class CertificatesRenewed:
    """``renewed`` got new keys and times; ``kept`` have enough time left."""

    folder: str
    renewed: tuple[CertificateShown, ...]
    kept: tuple[str, ...]


class CertificateFolder:
    """A folder of certificates; changes hold its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def init(self, name: str, days: int = CA_DAYS) -> CertificatesShown:
        """Make the authority. Raises UsageError where there is one: its certificates would fail."""
        with self._lock():
            if self._cert(CA).exists():
                raise UsageError(
                    f"{self._cert(CA)} exists; a new authority would end every certificate of it",
                    hint=f"modelscan node cert show, or rm '{self._cert(CA)}' '{self._key(CA)}'",
                    code="ca_exists",
                )
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            builder = _builder(subject, subject, key.public_key(), days)
            builder = builder.add_extension(x509.BasicConstraints(True, path_length=0), True)
            builder = builder.add_extension(_usage(authority=True), True)
            self._write(CA, builder.sign(key, hashes.SHA256()), key)
        return self.show()

    def issue(
        self,
        name: str,
        hosts: Sequence[str],
        *,
        use: Literal["node", "client"] = "node",
        days: int = DAYS,
    ) -> CertificateShown:
        """Issue a certificate with a new key. Raises UsageError for a name in use, a host that is
        none, or a node's certificate without hosts.
        """
        _check_name(name)
        with self._lock():
            if self._cert(name).exists():
                raise UsageError(
                    f"there is a certificate '{name}' already",
                    hint=f"modelscan node cert renew {name}",
                    code="name_taken",
                )
            return self._issued(name, hosts, use, days)

    def renew(self, names: Sequence[str], *, force: bool = False) -> CertificatesRenewed:
        """Replace certificates (none named: all) that have less than a third of their time left, or
        all named ones with ``force``: same hosts, same lifetime, new key.
        """
        with self._lock():
            there = [one for one in self._names() if one != CA]
            for name in names:
                if name not in there:
                    raise _unknown(name, there)
            chosen = list(dict.fromkeys(names)) or there
            due = [one for one in chosen if force or self._is_due(one)]
            renewed = tuple(self._again(one) for one in due)
        return CertificatesRenewed(
            str(self.folder), renewed, tuple(one for one in chosen if one not in due)
        )

    def show(self, name: str | None = None) -> CertificatesShown:
        """The certificates, or one. Raises UsageError for an unknown one."""
        names = self._names()
        if name is not None and name not in names:
            raise _unknown(name, names)
        rows = tuple(self._shown(one) for one in names if name in (None, one))
        return CertificatesShown(str(self.folder), str(self._cert(CA)), rows)

    # Files

    def _cert(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def _key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def _lock(self) -> AbstractContextManager[None]:
        return hold(self.folder / ".lock", what="the certificates")

    def _names(self) -> list[str]:
        names = sorted(file.stem for file in self.folder.glob("*.pem"))
        return sorted(names, key=lambda one: one != CA)

    def _write(self, name: str, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """The key first: a listener that reads the new certificate finds its key."""
        ensure_dir(self.folder)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip
        write_atomic(self._key(name), text)
        write_atomic(self._cert(name), cert.public_bytes(serialization.Encoding.PEM))

    def _read(self, name: str) -> x509.Certificate:
        file = self._cert(name)
        try:
            return x509.load_pem_x509_certificate(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ModelscanError(
                f"{file} is not a certificate: {error}",
                hint=f"mv '{file}' '{file}.old'",
                code="certificate",
            ) from error

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """The authority. Raises UsageError where it, or its key, is not in this folder."""
        if not self._cert(CA).exists() or not self._key(CA).exists():
            raise UsageError(
                f"there is no certificate authority with its key in {self.folder}",
                hint="modelscan node cert init   (on the machine that issues certificates)",
                code="no_ca",
            )
        try:
            key = serialization.load_pem_private_key(self._key(CA).read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ModelscanError(
                f"{self._key(CA)} is not the key of an authority: {error}",
                hint=f"restore '{self._key(CA)}' from a copy",
                code="certificate",
            ) from error
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return self._read(CA), key

    # Certificates

    def _issued(
        self, name: str, hosts: Sequence[str], use: Literal["node", "client"], days: int
    ) -> CertificateShown:
        authority, signer = self._authority()
        names = [_general_name(host) for host in dict.fromkeys(hosts)]
        if not names and use == "node":
            raise UsageError(
                "a certificate of a control plane or a node needs the names or addresses that "
                "others connect to",
                hint=f"modelscan node cert issue {name} --host gpu1.lan --host 192.168.1.20",
                code="no_hosts",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        limit = (authority.not_valid_after_utc - datetime.now(timezone.utc)).days
        builder = _builder(subject, authority.subject, key.public_key(), min(days, limit))
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(_usage(authority=False), True)
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        uses += [ExtendedKeyUsageOID.SERVER_AUTH] if use == "node" else []
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(issuer, False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        self._write(name, builder.sign(signer, hashes.SHA256()), key)
        return self._shown(name)

    def _again(self, name: str) -> CertificateShown:
        cert = self._read(name)
        use: Literal["node", "client"] = "client" if _use(cert) == "client" else "node"
        return self._issued(name, _hosts(cert), use, max(1, _lifetime(cert).days))

    def _is_due(self, name: str) -> bool:
        cert = self._read(name)
        left = cert.not_valid_after_utc - datetime.now(timezone.utc)
        return left < _lifetime(cert) * _RENEWED_BELOW or self._problem(cert) is not None

    def _shown(self, name: str) -> CertificateShown:
        cert = self._read(name)
        key = self._key(name)
        left = cert.not_valid_after_utc - datetime.now(timezone.utc)
        return CertificateShown(
            name=name,
            use=_use(cert),
            hosts=_hosts(cert),
            expires_at=cert.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            days_left=left.days,
            serial=f"{cert.serial_number:x}",
            fingerprint_sha256=cert.fingerprint(hashes.SHA256()).hex(),
            cert_file=str(self._cert(name)),
            key_file=str(key) if key.exists() else None,
            problem=self._problem(cert),
        )

    def _problem(self, cert: x509.Certificate) -> str | None:
        now = datetime.now(timezone.utc)
        if cert.not_valid_after_utc <= now:
            return "expired"
        if cert.not_valid_before_utc > now:
            return "not valid yet: check this machine's clock"
        if not self._cert(CA).exists():
            return None
        try:
            cert.verify_directly_issued_by(self._read(CA))
        except (ValueError, TypeError, InvalidSignature):
            return f"not issued by {self._cert(CA)}"
        return None


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    if days < 1:
        raise UsageError("a certificate is valid for at least one day", hint="--days 365")
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(host: str) -> x509.GeneralName:
    text = host.strip().strip("[]")
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not _HOST.match(text) or re.fullmatch(r"[\d.]+", text):
        raise UsageError(
            f"'{host}' is no host name or address",
            hint="--host gpu1.lan --host 192.168.1.20",
            code="bad_host",
        )
    return x509.DNSName(text.lower())


def _hosts(cert: x509.Certificate) -> tuple[str, ...]:
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    texts: Iterable[object] = (
        *names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.IPAddress)
    )  # fmt: skip
    return tuple(str(one) for one in texts)


def _use(cert: x509.Certificate) -> CertificateUse:
    try:
        if cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "authority"
        uses = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "node"
    return "node" if ExtendedKeyUsageOID.SERVER_AUTH in uses else "client"


def _lifetime(cert: x509.Certificate) -> timedelta:
    return cert.not_valid_after_utc - cert.not_valid_before_utc


def _check_name(name: str) -> None:
    if name == CA or not _NAME.match(name):
        raise UsageError(
            f"'{name}' is no name of a certificate: letters, digits, '.', '-' and '_', not '{CA}'",
            hint="modelscan node cert issue gpu1 --host gpu1.lan",
        )


def _unknown(name: str, names: Iterable[str]) -> UsageError:
    listed = ", ".join(names) or "none"
    return UsageError(
        f"there is no certificate '{name}' (certificates: {listed})",
        hint="modelscan node cert show",
        code="not_found",
    )

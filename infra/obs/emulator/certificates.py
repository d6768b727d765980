"""Certificates of the stand-in: for OBS's host names, trusted by its clients only, and for its internal interfaces."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.obs.emulator.rules import ca_file, domain
from infra.secrets import secret_file
from infra.store.atomic import write_text
from infra.store.locks import hold

_DAYS = 365


def server_certificate(folder: Path, region: str, days: int = _DAYS) -> tuple[Path, Path]:
    """Return certificate and key files for `obs.REGION.myhuaweicloud.com`, its buckets and this machine.

    They are created once, valid for `days`, and again less than a month before they expire. The CA's own key is never
    written, so nobody can sign other certificates with it.
    """
    certificate, key = folder / f"{region}.pem", folder / f"{region}.key"
    with hold(folder / "lock"):
        if not (certificate.exists() and key.exists() and _valid(certificate)):
            _make(folder, region, certificate, key, days)
    return certificate, key


def internal_certificate(home: Path, name: str) -> tuple[Path, Path]:
    """Return certificate and key files in the secrets of a home, by which the parts of one service identify each other.

    The certificate is self-signed, so it is their only CA, too. It is created once.
    """
    certificate, key = (secret_file(home, f"{name}.{ending}") for ending in ("pem", "key"))
    with hold(home / "locks" / f"secret-{name}"):
        if not (certificate.exists() and key.exists()):
            private = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"AtlasFlow {name}")])
            made = (
                _builder(subject, subject, private.public_key(), private.public_key(), days=_DAYS * 20)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(
                    x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
                )
                .sign(private, hashes.SHA256())
            )
            write_text(key, _pem(private), mode=0o600)
            write_text(certificate, made.public_bytes(serialization.Encoding.PEM).decode(), mode=0o600)
    return certificate, key


def _valid(path: Path) -> bool:
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return ends - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=30)


def _make(folder: Path, region: str, certificate: Path, key: Path, days: int) -> None:
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AtlasFlow test CA (stand-in)")])
    ca = (
        _builder(authority_name, authority_name, authority_key.public_key(), authority_key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    host = domain(region)
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in (host, f"*.{host}", "localhost", "*.localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    server = (
        _builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]),
            authority_name,
            server_key.public_key(),
            authority_key.public_key(),
            days,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_text(key, _pem(server_key), mode=0o600)
    write_text(ca_file(folder, region), ca.public_bytes(serialization.Encoding.PEM).decode())
    write_text(certificate, server.public_bytes(serialization.Encoding.PEM).decode())


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    authority: ec.EllipticCurvePublicKey,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )

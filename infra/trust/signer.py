"""Make ECDSA P-256 keys and sign with them: a file, an encrypted file, or a token by PKCS#11."""

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from infra.errors import Refused, UserError
from infra.store.atomic import write_text
from infra.trust.keyring import Kind, TrustedKey, add_key, changing

PKCS11 = "pkcs11:"
_SECONDS = 60.0

Sign = Callable[[bytes], bytes]  # bytes to a signature in DER form


def new_key(home: Path, name: str, kind: Kind, target: Path, passphrase: str = "") -> TrustedKey:
    """Make a key pair: the private half in `target` (mode 0600), the public half in the keyring of the home.

    Args:
        home: of the keyring.
        name: of the key.
        kind: what it may sign.
        target: the file to write.
        passphrase: encrypts the file; empty for none.

    Raises:
        UserError: the file exists, or the name cannot be used.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    entry = TrustedKey.of(name, kind, public_pem(private.public_key()), str(target.absolute()))
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()
    with changing(home):
        if target.exists():
            raise UserError(f"{target} exists already", hint="a key is never overwritten; choose another file")
        write_text(target, text, mode=0o600)
        add_key(home, entry)
    return entry


def open_signer(key: TrustedKey, passphrase: str) -> Sign:
    """Open the private half of a key.

    Raises:
        UserError: it cannot be read, its passphrase is wrong, it is not the private half, or it is no P-256 key.
        Refused: others can read the file, or the token refuses.
    """
    if key.source.startswith(PKCS11):
        return _checked(key, lambda data: _sign_by_token(key.source, passphrase, data))
    private = _load(Path(key.source), passphrase)
    return _checked(key, lambda data: private.sign(data, ec.ECDSA(SHA256())))


def fits(public: str, data: bytes, signature: bytes) -> bool:
    """Tell whether a signature in DER form fits; public key in PEM form."""
    try:
        found = serialization.load_pem_public_key(public.encode())
        if not isinstance(found, ec.EllipticCurvePublicKey):
            return False
        found.verify(signature, data, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def public_pem(key: ec.EllipticCurvePublicKey) -> str:
    """A public key in PEM form."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, kind).decode()


def public_half(path: Path, passphrase: str = "") -> str:
    """The public half of a private or public P-256 key in a PEM file.

    Raises:
        UserError: it is neither.
        Refused: others can read the private key.
    """
    text = path.read_bytes()
    if b"PRIVATE KEY" in text:
        return public_pem(_load(path, passphrase).public_key())
    try:
        found = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(f"{path} holds no key in PEM form") from error
    if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP256R1):
        raise UserError(f"{path} holds no ECDSA P-256 key", hint="`atlasflow keys new` makes one")
    return public_pem(found)


def token_public_key(address: str, pin: str) -> str:
    """The public half of a key in a token, by `openssl` with its PKCS#11 engine."""
    text = _openssl(["pkey", "-engine", "pkcs11", "-inform", "engine", "-in", address, "-pubout"], pin, b"").decode()
    found = text[text.find("-----BEGIN") :]
    loaded = serialization.load_pem_public_key(found.encode())
    if not isinstance(loaded, ec.EllipticCurvePublicKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise UserError(f"{address} is no ECDSA P-256 key")
    return public_pem(loaded)


def _load(path: Path, passphrase: str) -> ec.EllipticCurvePrivateKey:
    try:
        found = path.stat()
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"the key {path} cannot be read: {error.strerror}", hint="`atlasflow keys list`") from error
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or found.st_uid not in (0, os.geteuid()):
        raise Refused(f"others can read the key {path}", hint=f"chmod 600 {path}; if they did, `atlasflow keys rotate`")
    try:
        encrypted = b"ENCRYPTED" in text
        key = serialization.load_pem_private_key(text, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = "set ATLASFLOW_RELEASE__PASSPHRASE, or put it into ATLASFLOW_SECRETS_DIR"
        raise UserError(f"the key {path} cannot be opened: is its passphrase right?", hint=hint) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UserError(f"{path} holds no ECDSA P-256 key", hint="`atlasflow keys new` makes one")
    return key


def _checked(key: TrustedKey, sign: Sign) -> Sign:
    """Check each signature, so that a wrong file or token never makes a release that no board accepts."""

    def signed(data: bytes) -> bytes:
        signature = sign(data)
        if not fits(key.public, data, signature):
            raise UserError(f"{key.source} is not the private half of key {key.name} ({key.id[:12]})")
        return signature

    return signed


def _sign_by_token(address: str, pin: str, data: bytes) -> bytes:
    command = ["dgst", "-sha256", "-engine", "pkcs11", "-keyform", "engine", "-sign", address]
    return _openssl(command, pin, data)


def _openssl(arguments: list[str], pin: str, data: bytes) -> bytes:
    """Run `openssl`; the PIN goes through the environment, which only this user can read.

    Raises:
        Refused: it fails.
    """
    environment = {**os.environ, "ATLASFLOW_TOKEN_PIN": pin}
    secret = ["-passin", "env:ATLASFLOW_TOKEN_PIN"] if pin else []
    try:
        process = subprocess.run(
            ["openssl", *arguments, *secret],  # noqa: S607 - as the user has it
            input=data,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(
            f"openssl cannot use the token: {error}", hint="install openssl and its PKCS#11 engine"
        ) from error
    if process.returncode != 0:
        last = process.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason"]
        raise Refused(
            f"the token does not sign: {last[0][:200]}",
            hint="is it there, its PIN right (ATLASFLOW_RELEASE__PASSPHRASE), libengine-pkcs11-openssl installed?",
        )
    return process.stdout

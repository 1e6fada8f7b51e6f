"""Ed25519 signatures of bundles (RFC 8032), detached: a bundle of 1 MB has a signature of 64 bytes beside it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cybersec_mlops.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES: Final = 64
_BEGIN: Final = b"-----BEGIN"

CONTEXT: Final = b"cybersec-mlops bundle v1\n"
"""What is signed is this line and the bytes, so that a signature made for something else is worth nothing here."""


def sign(data: bytes, private_key_pem: bytes) -> bytes:
    """Sign bytes.

    Parameters
    ----------
    data : bytes
        The bundle.
    private_key_pem : bytes
        An unencrypted Ed25519 key, PKCS#8 in PEM (``openssl genpkey -algorithm ed25519``).

    Returns
    -------
    bytes
        64 bytes.

    Raises
    ------
    ConfigError
        When it is no such key; the message never contains the key.
    """
    return _private(private_key_pem).sign(CONTEXT + data)


def verify(data: bytes, signature: bytes, public_key_pem: bytes) -> None:
    """Check a signature; returns only if it is right.

    Parameters
    ----------
    data, signature : bytes
        The bundle, and what `sign` gave for it.
    public_key_pem : bytes
        One or several keys, one of which must fit: while a key is replaced, both are trusted.

    Raises
    ------
    DataError
        When the bytes or the signature were changed, or another key signed.
    ConfigError
        When the public key is none.
    """
    from cryptography.exceptions import InvalidSignature

    for key in _public(public_key_pem):
        try:
            key.verify(signature, CONTEXT + data)
        except InvalidSignature:
            continue
        return
    raise DataError(
        "the bundle's signature does not fit the bundle and the public key",
        hint="do not use this bundle; fetch it again, or check which key signed it",
    )


def generate_keys() -> tuple[bytes, bytes]:
    """Make a key pair: the private key (PKCS#8) and the public key, in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _public_pem(key)


def fingerprint(private_key_pem: bytes) -> str:
    """Return what names a key without telling it: the beginning of its public half's SHA-256."""
    return hashlib.sha256(_public_pem(_private(private_key_pem))).hexdigest()[:16]


def _public_pem(key: Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _private(pem: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise _bad_key("private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad_key("private")
    return key


def _public(pem: bytes) -> list[Ed25519PublicKey]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = []
    for one in pem.split(_BEGIN)[1:] or [pem]:
        try:
            key = load_pem_public_key(_BEGIN + one)
        except (ValueError, TypeError) as error:
            raise _bad_key("public") from error
        if not isinstance(key, Ed25519PublicKey):
            raise _bad_key("public")
        keys.append(key)
    return keys


def _bad_key(kind: str) -> ConfigError:
    return ConfigError(
        f"the {kind} key is not an Ed25519 key in PEM form",
        hint="make one with `openssl genpkey -algorithm ed25519`",
    )

"""Ed25519 signatures of bundles (RFC 8032), detached: a bundle of 1 MB has a signature of 64 bytes beside it."""

from __future__ import annotations

from typing import Final

from cybersec_mlops.errors import ConfigError, DataError

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
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise _bad_key("private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad_key("private")
    return key.sign(CONTEXT + data)


def verify(data: bytes, signature: bytes, public_key_pem: bytes) -> None:
    """Check a signature; returns only if it is right.

    Raises
    ------
    DataError
        When the bytes or the signature were changed, or another key signed.
    ConfigError
        When the public key is none.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key_pem)
    except (ValueError, TypeError) as error:
        raise _bad_key("public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _bad_key("public")
    try:
        key.verify(signature, CONTEXT + data)
    except InvalidSignature as error:
        raise DataError(
            "the bundle's signature does not fit the bundle and the public key",
            hint="do not use this bundle; fetch it again, or check which key signed it",
        ) from error


def _bad_key(kind: str) -> ConfigError:
    return ConfigError(
        f"the {kind} key is not an Ed25519 key in PEM form",
        hint="make one with `openssl genpkey -algorithm ed25519`",
    )

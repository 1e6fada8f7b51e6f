from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.training.signature import SIGNATURE_BYTES, fingerprint, generate_keys, sign, verify


def pair() -> tuple[bytes, bytes]:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public


PRIVATE, PUBLIC = pair()


@settings(max_examples=40, deadline=None)
@given(data=st.binary(min_size=1, max_size=60), where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_only_the_signed_bytes_verify(data: bytes, where: int, bit: int) -> None:
    signature = sign(data, PRIVATE)
    verify(data, signature, PUBLIC)
    changed = bytearray(data + signature)
    changed[where % len(changed)] ^= 1 << bit
    with pytest.raises(DataError, match="does not fit"):
        verify(bytes(changed[: len(data)]), bytes(changed[len(data) :]), PUBLIC)


def test_another_key_and_a_short_signature_do_not_verify() -> None:
    for signature, public in ((sign(b"x", PRIVATE), pair()[1]), (b"", PUBLIC), (sign(b"x", PRIVATE)[:63], PUBLIC)):
        with pytest.raises(DataError):
            verify(b"x", signature, public)


def test_keys_of_another_kind_are_refused_without_being_shown() -> None:
    other = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for key in (other, b"secret text", b""):
        with pytest.raises(ConfigError, match="Ed25519") as caught:
            sign(b"x", key)
        assert key.decode() not in str(caught.value) + caught.value.hint or not key
    with pytest.raises(ConfigError):
        verify(b"x", sign(b"x", PRIVATE), PRIVATE)


def test_one_of_several_public_keys_is_enough() -> None:
    first, second = generate_keys(), generate_keys()
    signature = sign(b"x", second[0])
    verify(b"x", signature, first[1] + second[1])
    with pytest.raises(DataError):
        verify(b"x", signature, first[1])
    assert fingerprint(first[0]) != fingerprint(second[0])
    assert len(signature) == SIGNATURE_BYTES

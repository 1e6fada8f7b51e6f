"""Signatures of bundles as the settings ask for them: made after training, verified before a bundle is loaded.

A signature is an object beside its bundle, ``bundles/ab/ab12....zip.sig``, and may be replaced when a key is. A bundle
is loaded by its SHA-256 alone, so what was verified under a hash is what is loaded under it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cybersec_mlops.config import Settings
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline.phase import Outcome, Phase, run_unkeyed_phase
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.signature import SIGNATURE_BYTES, fingerprint, sign, verify

PHASE: Final = "signature"
_LARGEST_KEY: Final = 64 << 10


def signature_key(bundle: Reference, platform: Platform) -> str:
    """Return where the signature of a bundle lies in MODELS."""
    return f"{platform.layers.models.key(bundle.uri)}.sig"


def sign_bundle(
    platform: Platform, bundle: Reference, *, dataset: str, run_id: str, flow_run_id: str | None = None
) -> bool:
    """Sign a bundle with the key of the settings, unless that was done before; without such a key nothing happens.

    Returns
    -------
    bool
        Whether a signature was made; it is audited.

    Raises
    ------
    ConfigError
        The key cannot be read, or is none.
    DataError, PlatformError
        The bundle is gone or was changed; the store failed.
    """
    file = platform.settings.signing_key_file
    if file is None:
        return False
    private = _read_key(file, "CYBERSEC_MLOPS_SIGNING_KEY_FILE")
    models, key = platform.layers.models, signature_key(bundle, platform)
    made = sign(models.get_bytes(models.key(bundle.uri), sha256=bundle.sha256), private)
    if models.size(key) == SIGNATURE_BYTES and models.get_bytes(key) == made:  # Ed25519: equal input, equal signature
        return False
    phase = Phase(
        name=PHASE,
        run_id=run_id,
        dataset=dataset,
        inputs=(bundle,),
        parameters={"key": fingerprint(private)},
        flow_run_id=flow_run_id,
    )

    def work() -> Outcome:
        stored = models.put_bytes(key, made, overwrite=True)
        return Outcome({"signature": stored.uri, "of": bundle.sha256})

    run_unkeyed_phase(platform, phase, work)
    return True


def require_signed(platform: Platform, bundle: Reference) -> None:
    """Return when a bundle may be loaded: it is signed by a trusted key, or the settings name none.

    Raises
    ------
    ConfigError
        A public key cannot be read, or is none.
    DataError
        The bundle has no signature, another key's, or was changed since.
    PlatformError
        The store failed.
    """
    public = public_keys(platform.settings)
    if public is None:
        return
    models, key = platform.layers.models, signature_key(bundle, platform)
    size = models.size(key)
    if size is None:
        raise DataError(
            f"the bundle {bundle.sha256[:12]} is not signed, and a public key is configured",
            hint="`cybersec-mlops models sign DATASET VERSION` where the private key is, or unset"
            " CYBERSEC_MLOPS_PUBLIC_KEY_FILE",
        )
    signature = models.get_bytes(key) if size == SIGNATURE_BYTES else b""
    verify(models.get_bytes(models.key(bundle.uri), sha256=bundle.sha256), signature, public)


def public_keys(settings: Settings) -> bytes | None:
    """Return the public keys of the settings as PEM; None where there are none."""
    texts = [settings.public_key.encode()] if settings.public_key is not None else []
    if settings.public_key_file is not None:
        texts.append(_read_key(settings.public_key_file, "CYBERSEC_MLOPS_PUBLIC_KEY_FILE"))
    return b"\n".join(texts) or None


def _read_key(path: Path, variable: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_KEY)
    except OSError as error:
        raise ConfigError(
            f"{variable}: the file cannot be read: {error.strerror}", hint=f"correct {variable}"
        ) from None

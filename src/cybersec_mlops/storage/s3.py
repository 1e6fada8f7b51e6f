"""Options of an S3 store from the standard environment, and the one call that obstore lacks: CreateBucket.

Plain S3 only: an endpoint, a region, a key pair, path style. Nothing of any vendor's own API.
"""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from cybersec_mlops.errors import ConfigError, PlatformError

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_TIMEOUT_S: Final = 5
STALL_TIMEOUT_S: Final = 20
"""How long one read or one upload of a part may stay without an answer, seconds."""
REQUEST_TIMEOUT_S: Final = 60
RETRY_TIMEOUT_S: Final = 45
"""After this many seconds no further attempt is begun."""
MAX_RETRIES: Final = 10

OTHER_CREDENTIALS: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach an S3 server; credentials never appear in its text form."""

    endpoint: str
    region: str = "us-east-1"
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    ca_bundle: Path | None = None
    path_style: bool = True
    request_timeout_s: float = REQUEST_TIMEOUT_S
    retry_timeout_s: float = RETRY_TIMEOUT_S

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> S3Options:
        """Read the options from ``AWS_*`` and ``CYBERSEC_MLOPS_S3_*``.

        Raises
        ------
        ConfigError
            No endpoint, an endpoint that is not http(s), half a key pair, or no credentials at all.

        Examples
        --------
        >>> S3Options.from_environment({"AWS_ENDPOINT_URL": "http://s3.lan:9000",
        ...     "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "hidden"})
        S3Options(endpoint='http://s3.lan:9000', region='us-east-1', ca_bundle=None, path_style=True, \
request_timeout_s=60, retry_timeout_s=45)
        """
        env = os.environ if environ is None else environ
        key, secret = env.get("AWS_ACCESS_KEY_ID") or None, env.get("AWS_SECRET_ACCESS_KEY") or None
        if (key is None) != (secret is None) or (key is None and not any(env.get(name) for name in OTHER_CREDENTIALS)):
            absent = "AWS_ACCESS_KEY_ID" if key is None else "AWS_SECRET_ACCESS_KEY"
            raise ConfigError(
                f"an s3:// store needs credentials, but {absent} is not set",
                hint="export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        bundle = env.get("AWS_CA_BUNDLE")
        return cls(
            endpoint=_endpoint(env),
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
            access_key_id=key,
            secret_access_key=secret,
            session_token=env.get("AWS_SESSION_TOKEN") or None,
            ca_bundle=Path(bundle) if bundle else None,
            path_style=env.get("CYBERSEC_MLOPS_S3_PATH_STYLE", "true").strip().lower()
            not in ("false", "0", "no", "off"),
            request_timeout_s=_seconds(env, "CYBERSEC_MLOPS_S3_REQUEST_TIMEOUT_S", REQUEST_TIMEOUT_S),
            retry_timeout_s=_seconds(env, "CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S", RETRY_TIMEOUT_S),
        )

    @property
    def plain_http(self) -> bool:
        """Whether the endpoint is without TLS."""
        return urlsplit(self.endpoint).scheme == "http"

    def for_polars(self) -> dict[str, str]:
        """Return the storage options with which Polars reads from the same server; they hold the credentials."""
        pairs = {
            "aws_endpoint_url": self.endpoint,
            "aws_region": self.region,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
            "aws_allow_http": str(self.plain_http).lower(),
            "aws_virtual_hosted_style_request": str(not self.path_style).lower(),
        }
        return {name: value for name, value in pairs.items() if value is not None}

    def certificates(self) -> bytes | None:
        """Return the PEM text of the private CA, None without one.

        Raises
        ------
        ConfigError
            The file cannot be read.
        """
        try:
            return None if self.ca_bundle is None else self.ca_bundle.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"AWS_CA_BUNDLE names {self.ca_bundle}, which cannot be read: {error.strerror}",
                hint="point it at the PEM file of the CA that signed the S3 server's certificate",
            ) from None


def _endpoint(env: Mapping[str, str]) -> str:
    endpoint = (env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or "").rstrip("/")
    if not endpoint:
        raise ConfigError(
            "an s3:// store needs an endpoint, but AWS_ENDPOINT_URL is not set",
            hint="export AWS_ENDPOINT_URL=http://HOST:PORT of your S3 server",
        )
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ConfigError(
            "AWS_ENDPOINT_URL is not an http(s)://HOST[:PORT] address",
            hint="credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, never into the address",
        )
    return endpoint


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    try:
        value = default if not text else float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 3600:
        raise ConfigError(f"{name} is {text!r}, expected a number of seconds between 0 and 3600")
    return value


def open_bucket(options: S3Options, bucket: str, prefix: str | None = None) -> S3Store:
    """Return a client of one bucket, with every wait bounded; nothing is sent yet."""
    endpoint = options.endpoint
    if not options.path_style:
        scheme, _, rest = endpoint.partition("://")
        endpoint = f"{scheme}://{bucket}.{rest}"
    return S3Store(
        bucket,
        prefix=prefix or None,
        config={
            "endpoint": endpoint,
            "aws_endpoint_url_s3": endpoint,
            "region": options.region,
            "virtual_hosted_style_request": not options.path_style,
            **_credentials(options),
        },
        client_options={
            "allow_http": options.plain_http,
            "connect_timeout": timedelta(seconds=min(CONNECT_TIMEOUT_S, options.request_timeout_s)),
            "read_timeout": timedelta(seconds=min(STALL_TIMEOUT_S, options.request_timeout_s)),
            "timeout": timedelta(seconds=options.request_timeout_s),
            **({} if (certificates := options.certificates()) is None else {"root_certificate": certificates}),
        },
        retry_config={
            "max_retries": MAX_RETRIES,
            "retry_timeout": timedelta(seconds=options.retry_timeout_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=200),
                "max_backoff": timedelta(seconds=10),
                "base": 2,
            },
        },
    )


def _credentials(options: S3Options) -> S3Config:
    pairs: S3Config = {}
    if options.access_key_id is not None and options.secret_access_key is not None:
        pairs = {"access_key_id": options.access_key_id, "secret_access_key": options.secret_access_key}
    if options.session_token is not None:
        pairs["session_token"] = options.session_token
    return pairs


def create_bucket(options: S3Options, bucket: str) -> None:
    """Create a bucket; one that is already there is fine.

    A presigned ``PUT /bucket`` (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html): obstore signs
    it, the standard library sends it.

    Raises
    ------
    PlatformError
        The server refuses, or does not answer in time.
    """
    url = obstore.sign(open_bucket(options, bucket), "PUT", "", timedelta(seconds=300))
    # S3 takes the signature over "/bucket/" and over "/bucket" as different: send what was signed.
    request = urllib.request.Request(url, data=_location(options), method="PUT")  # noqa: S310 - http(s) only, checked
    context = None if options.plain_http else ssl.create_default_context()
    if context is not None and (certificates := options.certificates()) is not None:
        context.load_verify_locations(cadata=certificates.decode("ascii"))
    try:
        with urllib.request.urlopen(request, timeout=STALL_TIMEOUT_S, context=context):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(4096).decode("utf-8", "replace")
        if error.code == 409 and ("BucketAlreadyOwnedByYou" in body or "BucketAlreadyExists" in body):
            return
        reason = f"the server answered {error.code}"
    except (OSError, ValueError) as error:  # URLError, timeouts and TLS failures are OSErrors
        reason = str(getattr(error, "reason", error))
    raise PlatformError(  # without the cause: its address holds a signature
        f"bucket {bucket!r} is not there and could not be created at {options.endpoint}: {reason}",
        hint="create the bucket, or give this key pair the right to create it",
    )


def _location(options: S3Options) -> bytes | None:
    """Return the body that Amazon asks for outside its default region; others ignore it."""
    if options.region == "us-east-1":
        return None
    return (
        '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<LocationConstraint>{options.region}</LocationConstraint></CreateBucketConfiguration>"
    ).encode()

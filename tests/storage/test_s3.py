from __future__ import annotations

import datetime
import http.server
import ipaddress
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, PlatformError
from cybersec_mlops.stack.seaweedfs import SeaweedFS
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.s3 import S3Options, create_bucket, open_bucket

ENVIRONMENT = {
    "AWS_ENDPOINT_URL": "http://s3.lan:9000/",
    "AWS_ACCESS_KEY_ID": "me",
    "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Some S3 environment with short limits."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CYBERSEC_MLOPS_S3_REQUEST_TIMEOUT_S", "0.5")
    monkeypatch.setenv("CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S", "0.5")
    return monkeypatch


def everything(error: BaseException) -> str:
    parts = [str(error), repr(error), str(getattr(error, "hint", ""))]
    for other in (error.__cause__, None if error.__suppress_context__ else error.__context__):
        parts += [] if other is None else [everything(other)]
    return " ".join(parts)


# -- the environment --------------------------------------------------------------------------------------------------


def test_the_defaults() -> None:
    options = S3Options.from_environment(ENVIRONMENT)
    assert (options.endpoint, options.region, options.path_style) == ("http://s3.lan:9000", "us-east-1", True)
    assert options.plain_http
    assert options.certificates() is None
    assert "hunter2" not in repr(options)


def test_everything_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    options = S3Options.from_environment(
        {
            **ENVIRONMENT,
            "AWS_ENDPOINT_URL_S3": "https://other:1",
            "AWS_REGION": "eu-north-1",
            "AWS_SESSION_TOKEN": "token",
            "AWS_CA_BUNDLE": str(tmp_path / "ca.pem"),
            "CYBERSEC_MLOPS_S3_PATH_STYLE": "False",
            "CYBERSEC_MLOPS_S3_REQUEST_TIMEOUT_S": "1.5",
        }
    )
    assert (options.endpoint, options.region, options.session_token) == ("https://other:1", "eu-north-1", "token")
    assert (options.path_style, options.plain_http, options.request_timeout_s) == (False, False, 1.5)
    assert options.certificates() == b"PEM"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_ENDPOINT_URL": ""}, "AWS_ENDPOINT_URL is not set"),
        ({"AWS_ENDPOINT_URL": "s3.lan:9000"}, "not an http"),
        ({"AWS_ENDPOINT_URL": "ftp://s3.lan"}, "not an http"),
        ({"AWS_ENDPOINT_URL": "http://me:hunter2@s3.lan"}, "not an http"),
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S": "soon"}, "expected a number of seconds"),
        ({"CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S": "0"}, "expected a number of seconds"),
        ({"CYBERSEC_MLOPS_S3_RETRY_TIMEOUT_S": "nan"}, "expected a number of seconds"),
    ],
)
def test_what_is_missing_or_wrong_is_said(change: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        S3Options.from_environment({**ENVIRONMENT, **change})
    assert "hunter2" not in everything(caught.value)


def test_other_ways_of_signing_need_no_keys() -> None:
    endpoint = {"AWS_ENDPOINT_URL": "http://s3.lan"}
    assert S3Options.from_environment({**endpoint, "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}).access_key_id is None


def test_a_ca_bundle_that_is_not_there() -> None:
    options = S3Options.from_environment({**ENVIRONMENT, "AWS_CA_BUNDLE": "/no/such.pem"})
    with pytest.raises(ConfigError, match=r"AWS_CA_BUNDLE names /no/such\.pem"):
        open_bucket(options, "b")


@pytest.mark.parametrize(
    ("style", "address"), [("true", "http://s3.lan:9000/b/k?"), ("false", "http://b.s3.lan:9000/k?")]
)
def test_both_styles_of_address(style: str, address: str) -> None:
    options = S3Options.from_environment({**ENVIRONMENT, "CYBERSEC_MLOPS_S3_PATH_STYLE": style})
    signed = obstore.sign(open_bucket(options, "b"), "GET", "k", datetime.timedelta(seconds=9))
    assert signed.startswith(address)


def test_polars_gets_the_same_server() -> None:
    options = S3Options.from_environment(ENVIRONMENT).for_polars()
    assert options["aws_endpoint_url"] == "http://s3.lan:9000"
    assert options["aws_allow_http"] == "true"
    assert "aws_session_token" not in options


# -- servers that are not as they should be ---------------------------------------------------------------------------


def failing_calls(store: ObjectStore, folder: Path) -> Iterator[CybersecMlopsError]:
    (folder / "file").write_bytes(b"x" * (6 << 20))
    calls: list[Callable[[], object]] = [
        lambda: store.ensure(),
        lambda: store.put_bytes("k", b"x"),
        lambda: store.put_file("k", folder / "file"),
        lambda: store.get_bytes("k"),
        lambda: store.fetch("k", folder / "out"),
        lambda: list(store.list()),
        lambda: store.delete("k"),
    ]
    for call in calls:
        with pytest.raises(CybersecMlopsError) as caught:
            call()
        assert "hunter2" not in everything(caught.value)
        assert caught.value.hint
        yield caught.value


def test_a_server_that_is_not_there(impatient: pytest.MonkeyPatch, tmp_path: Path, closed_port: int) -> None:
    impatient.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")
    for error in failing_calls(ObjectStore.from_url("s3://bucket"), tmp_path):
        assert isinstance(error, PlatformError)
        assert "bucket 'bucket' at http://127.0.0.1:" in error.message
        assert "the connection was refused" in error.message


def test_a_server_that_never_answers(impatient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        impatient.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        for error in failing_calls(ObjectStore.from_url("s3://bucket"), tmp_path):
            assert "no answer in time" in error.message
        assert time.monotonic() - start < 30


def test_a_host_that_does_not_exist(impatient: pytest.MonkeyPatch) -> None:
    impatient.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid:9")
    with pytest.raises(PlatformError, match="the host name is unknown"):
        ObjectStore.from_url("s3://bucket").get_bytes("k")


def test_create_bucket_says_why_it_could_not(impatient: pytest.MonkeyPatch, closed_port: int) -> None:
    impatient.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(PlatformError, match=r"bucket 'b' is not there and could not be created at .*refused") as caught:
        create_bucket(S3Options.from_environment(), "b")
    assert "Signature" not in everything(caught.value)


@pytest.mark.services
@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_refused_credentials(
    s3_environment: dict[str, str], impatient: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    for name, value in {**s3_environment, wrong: "hunter2hunter2"}.items():
        impatient.setenv(name, value)
    for error in failing_calls(ObjectStore.from_url("s3://readiness"), tmp_path):
        assert isinstance(error, PlatformError)
        assert "the credentials were refused" in error.message
        assert s3_environment["AWS_SECRET_ACCESS_KEY"] not in everything(error)


@pytest.mark.services
def test_a_missing_bucket(s3: object, tmp_path: Path) -> None:
    store = ObjectStore.from_url("s3://no-such-bucket")
    (tmp_path / "file").write_bytes(b"x")
    for call in (
        lambda: store.put_bytes("k", b"x"),
        lambda: store.put_file("k", tmp_path / "file"),
        lambda: list(store.list()),
    ):
        with pytest.raises(PlatformError, match=r"bucket 'no-such-bucket' at .* does not exist"):
            call()
    for read in (lambda: store.get_bytes("k"), lambda: list(store.chunks("k"))):
        with pytest.raises(DataError, match="k is not in bucket 'no-such-bucket'"):
            read()  # S3 answers the question after an object's size without a reason


@pytest.mark.services
def test_a_server_that_comes_back_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = SeaweedFS.start(tmp_path)
    try:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = ObjectStore.from_url("s3://pause")
        store.ensure()
        server.server.process.send_signal(signal.SIGSTOP)
        thaw = threading.Timer(1.0, server.server.process.send_signal, (signal.SIGCONT,))
        thaw.start()
        assert store.holds(store.put_bytes("k", b"x"))
        thaw.join()
    finally:
        server.stop(graceful=False)


# -- TLS with a CA of one's own ---------------------------------------------------------------------------------------


def signed(
    name: str, *, by: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate, of a CA where nobody else signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, issuer_key = by or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    return built.sign(issuer_key, hashes.SHA256()), key


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of 127.0.0.1 in one file, beside ca.pem of the CA that signed it."""
    authority, authority_key = signed("test CA")
    server, key = signed("127.0.0.1", by=(authority.subject, authority_key))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "both.pem").write_bytes(private + server.public_bytes(pem))
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(pem))
    return tmp_path / "both.pem"


class Empty(http.server.BaseHTTPRequestHandler):
    """An S3 server that accepts every bucket and holds nothing."""

    def do_PUT(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def tls_port(certificate: Path) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_private_ca_is_believed_only_when_named(
    impatient: pytest.MonkeyPatch, tls_port: int, certificate: Path
) -> None:
    impatient.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{tls_port}")
    with pytest.raises(PlatformError, match="certificate was not accepted") as caught:
        ObjectStore.from_url("s3://bucket").exists("k")
    assert "AWS_CA_BUNDLE" in caught.value.hint
    with pytest.raises(PlatformError, match="certificate"):
        create_bucket(S3Options.from_environment(), "bucket")
    impatient.setenv("AWS_CA_BUNDLE", str(certificate.with_name("ca.pem")))
    assert not ObjectStore.from_url("s3://bucket").exists("k")
    create_bucket(S3Options.from_environment(), "bucket")

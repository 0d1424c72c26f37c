from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import os
import socket
import ssl
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.fix_s3 import forget_aws_settings
from tests.unit.kopia.blob.scripted_server import Answer, ScriptedServer, s3_error
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import s3
from velero_py_plugin.kopia.blob.location import S3Location
from velero_py_plugin.kopia.blob.s3 import S3Storage
from velero_py_plugin.kopia.blob.storage import BlobMetadata

_SECRET = "wJalrXUtnFEMI/K7MDENG"
_PACK = "p0123456789abcdef0123456789abcdef-s0123456789abcdef147"
_DATE = "Sat, 21 Nov 2026 13:12:11 GMT"
_TIME = datetime.datetime(2026, 11, 21, 13, 12, 11, tzinfo=datetime.UTC).timestamp()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_aws_settings(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)


def _storage(server: ScriptedServer, **settings: Any) -> S3Storage:
    return S3Storage(S3Location("bucket", "velero/kopia/app/", endpoint=server.endpoint, **settings))


def test_put_sends_what_kopia_sends() -> None:
    data = bytes(range(256)) * 1000
    with ScriptedServer(Answer()) as server:
        _storage(server).put(_PACK, data)
    (request,) = server.requests
    assert request.method == "PUT"
    assert request.path == f"/bucket/velero/kopia/app/{_PACK}"
    assert request.body == data
    assert request.headers["Content-Type"] == "application/x-kopia"
    assert request.headers["Content-MD5"] == base64.b64encode(hashlib.md5(data).digest()).decode()
    assert "/us-east-1/s3/" in request.headers["Authorization"]
    assert not [name for name in request.headers if "checksum" in name.lower() or "trailer" in name.lower()]


@pytest.mark.parametrize("data", [b"", bytearray(b"bytes in an array"), memoryview(b"--part--")[2:6]])
def test_put_takes_any_buffer(data: bytes | bytearray | memoryview) -> None:
    with ScriptedServer(Answer()) as server:
        _storage(server).put(_PACK, data)
    assert server.requests[0].body == bytes(data)


def test_a_request_is_repeated_with_its_whole_body() -> None:
    data = os.urandom(300_000)
    with ScriptedServer(s3_error(503, "SlowDown"), Answer()) as server:
        _storage(server).put(_PACK, data)
    assert [request.body == data for request in server.requests] == [True, True]


def test_a_slow_line_is_no_failure(monkeypatch: pytest.MonkeyPatch, one_attempt: None) -> None:
    monkeypatch.setattr(s3, "_CONNECT_TIMEOUT", 0.5)
    data = bytes(12 << 20)
    with ScriptedServer(Answer(read_slowly=True)) as server:
        _storage(server).put(_PACK, data)
    assert server.requests[0].body == data


def test_get_asks_for_the_range_it_needs() -> None:
    with ScriptedServer(Answer(206, b"345"), Answer(206, b"6789"), Answer(200, b"0123456789")) as server:
        storage = _storage(server)
        assert storage.get(_PACK, 3, 3) == b"345"
        assert storage.get(_PACK, 6) == b"6789"
        assert storage.get(_PACK) == b"0123456789"
    assert [request.headers.get("Range") for request in server.requests] == ["bytes=3-5", "bytes=6-", None]


def test_a_connection_that_breaks_within_the_answer_is_repeated() -> None:
    with ScriptedServer(Answer(200, b"01234", claimed_length=10), Answer(200, b"0123456789")) as server:
        assert _storage(server).get(_PACK) == b"0123456789"
    assert len(server.requests) == 2


def test_answers_that_always_break_are_an_outage() -> None:
    with (
        ScriptedServer(Answer(200, b"01234", claimed_length=10)) as server,
        pytest.raises(errors.StorageUnavailableError, match="does not answer"),
    ):
        _storage(server).get(_PACK)
    assert len(server.requests) == 4


def test_an_answer_with_other_bytes_than_the_range_is_corruption() -> None:
    with ScriptedServer(Answer(206, b"only"), Answer(200, b"more than was asked for")) as server:
        storage = _storage(server)
        for _ in range(2):
            with pytest.raises(errors.CorruptRepositoryError, match="at least 108 bytes"):
                storage.get(_PACK, 100, 8)


def test_a_range_outside_the_object_is_corruption() -> None:
    with (
        ScriptedServer(s3_error(416, "InvalidRange")) as server,
        pytest.raises(errors.CorruptRepositoryError, match="at least 108 bytes") as raised,
    ):
        _storage(server).get(_PACK, 100, 8)
    assert not isinstance(raised.value, errors.BlobMissingError)


def test_the_rest_after_the_last_byte_is_empty() -> None:
    head = Answer(200, b"0123456789", {"Last-Modified": _DATE})
    with ScriptedServer(s3_error(416, "InvalidRange"), head, s3_error(416, "InvalidRange"), head) as server:
        storage = _storage(server)
        assert storage.get(_PACK, 10) == b""
        with pytest.raises(errors.CorruptRepositoryError):
            storage.get(_PACK, 11)


def test_metadata() -> None:
    with ScriptedServer(Answer(200, b"0123456789", {"Last-Modified": _DATE})) as server:
        assert _storage(server).metadata(_PACK) == BlobMetadata(_PACK, 10, _TIME)
    assert server.requests[0].method == "HEAD"


def test_a_missing_object() -> None:
    missing = s3_error(404, "NoSuchKey")
    with ScriptedServer(missing, missing, missing, Answer(200)) as server:
        storage = _storage(server)
        with pytest.raises(errors.BlobMissingError, match=_PACK):
            storage.get(_PACK)
        storage.delete(_PACK)
        with pytest.raises(errors.BlobMissingError, match=_PACK):
            storage.metadata(_PACK)
    assert [request.method for request in server.requests] == ["GET", "DELETE", "HEAD", "HEAD"]


def test_a_missing_object_is_told_from_a_missing_bucket() -> None:
    with (
        ScriptedServer(Answer(404)) as server,
        pytest.raises(errors.StorageError, match='bucket "bucket" does not exist'),
    ):
        _storage(server).metadata(_PACK)
    # Not everybody may ask about the bucket.
    with ScriptedServer(Answer(404), Answer(403)) as server, pytest.raises(errors.BlobMissingError):
        _storage(server).metadata(_PACK)


def _page(names: list[str], token: str = "") -> Answer:
    contents = "".join(
        f"<Contents><Key>{name}</Key><LastModified>2026-11-21T13:12:11.000Z</LastModified><Size>7</Size></Contents>"
        for name in names
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{more}{contents}</ListBucketResult>"
    )
    return Answer(200, body.encode(), {"Content-Type": "application/xml"})


def test_a_listing_reads_every_page() -> None:
    prefix = "velero/kopia/app/"
    with ScriptedServer(
        _page([f"{prefix}xe1", f"{prefix}.storageconfig"], token="more"), _page([f"{prefix}xe2", f"{prefix}x y"])
    ) as server:
        listed = list(_storage(server).list("x"))
    assert listed == [BlobMetadata("xe1", 7, _TIME), BlobMetadata("xe2", 7, _TIME)]
    first, second = (request.path for request in server.requests)
    assert "prefix=velero%2Fkopia%2Fapp%2Fx" in first
    assert "delimiter=%2F" in first
    assert "continuation-token=more" in second


def test_an_empty_listing() -> None:
    with ScriptedServer(_page([])) as server:
        assert list(_storage(server).list()) == []


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", errors.StorageError, "s3:GetObject"),
        (403, "InvalidAccessKeyId", errors.StorageError, "does not accept the credentials"),
        (403, "SignatureDoesNotMatch", errors.StorageError, "does not accept the credentials"),
        (400, "ExpiredToken", errors.StorageError, "does not accept the credentials"),
        (403, "RequestTimeTooSkewed", errors.StorageError, "clock"),
        (404, "NoSuchBucket", errors.StorageError, 'bucket "bucket" does not exist at http://127'),
        (400, "AuthorizationHeaderMalformed", errors.StorageError, "region"),
        (400, "EntityTooLarge", errors.StorageError, "400 EntityTooLarge"),
        (500, "InternalError", errors.StorageUnavailableError, "500 InternalError"),
        (503, "SlowDown", errors.StorageUnavailableError, "503 SlowDown"),
        (429, "TooManyRequests", errors.StorageUnavailableError, "429"),
        (400, "RequestTimeout", errors.StorageUnavailableError, "RequestTimeout"),
    ],
)
def test_answers_that_refuse(one_attempt: None, status: int, code: str, kind: type[Exception], words: str) -> None:
    with ScriptedServer(s3_error(status, code)) as server:
        storage = _storage(server, region="us-east-1")
        for operation in (
            lambda: storage.get(_PACK),
            lambda: storage.put(_PACK, b"x"),
            lambda: storage.delete(_PACK),
            lambda: list(storage.list()),
        ):
            with pytest.raises(kind) as raised:
                operation()
            assert words in str(raised.value)
            assert not isinstance(raised.value, errors.CorruptRepositoryError)


def test_a_request_without_a_body_in_its_answer_is_refused_with_the_status() -> None:
    with ScriptedServer(Answer(403)) as server, pytest.raises(errors.StorageError, match=r"denies it \(403\)"):
        _storage(server).metadata(_PACK)


def test_a_web_page_in_place_of_an_answer(one_attempt: None) -> None:
    page: dict[str, Any] = {"body": b"<html><p>Welcome", "headers": {"Content-Type": "text/html"}}
    with ScriptedServer(Answer(400, **page), Answer(502, **page)) as server:
        storage = _storage(server)
        with pytest.raises(errors.StorageError, match=r"refuses it \(400\)"):
            list(storage.list())
        with pytest.raises(errors.StorageUnavailableError, match=r"fails for now \(502\)"):
            list(storage.list())


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch, one_attempt: None) -> None:
    monkeypatch.setattr(s3, "_READ_TIMEOUT", 0.2)
    with (
        ScriptedServer(Answer(hang=True)) as server,
        pytest.raises(errors.StorageUnavailableError, match="does not answer"),
    ):
        _storage(server).get(_PACK)


def test_no_server(one_attempt: None) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        storage = S3Storage(S3Location("bucket", endpoint=f"http://127.0.0.1:{closed.getsockname()[1]}"))
        with pytest.raises(errors.StorageUnavailableError, match="Cannot read blob xe1 in s3://bucket/ at http://127"):
            storage.get("xe1")


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with ScriptedServer(Answer()) as server:
        with pytest.raises(errors.StorageError, match="AWS_SHARED_CREDENTIALS_FILE"):
            _storage(server).get("xe1")
        assert server.requests == []


def test_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[backup]\naws_access_key_id=AKIDOFBACKUP\naws_secret_access_key={_SECRET}\nregion=eu-x-1\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    with ScriptedServer(Answer(200, b"data")) as server:
        assert _storage(server, profile="backup").get("xe1") == b"data"
        with pytest.raises(errors.StorageError, match="has no profile 'other'"):
            _storage(server, profile="other")
    assert "Credential=AKIDOFBACKUP/" in server.requests[0].headers["Authorization"]
    assert "/eu-x-1/s3/" in server.requests[0].headers["Authorization"]


def test_a_credentials_file_goes_before_the_environment(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id=AKIDOFTHEFILE\naws_secret_access_key={_SECRET}\n")
    with ScriptedServer(Answer(200, b"data")) as server:
        assert _storage(server, credentials_file=str(credentials)).get("xe1") == b"data"
        with pytest.raises(errors.StorageError, match="absent"):
            _storage(server, credentials_file=str(tmp_path / "absent"))
    assert "Credential=AKIDOFTHEFILE/" in server.requests[0].headers["Authorization"]


def test_reading_nothing_asks_whether_the_place_exists() -> None:
    head = Answer(200, b"0123456789", {"Last-Modified": _DATE})
    with ScriptedServer(head) as server:
        storage = _storage(server)
        assert storage.get(_PACK, 10, 0) == b""
        with pytest.raises(errors.CorruptRepositoryError, match="at least 11 bytes"):
            storage.get(_PACK, 11, 0)
    assert {request.method for request in server.requests} == {"HEAD"}


def test_an_unusable_region() -> None:
    with pytest.raises(errors.StorageError, match="cannot be made"):
        S3Storage(S3Location("bucket", region="no region!")).get("xe1")


def test_no_secret_in_any_text() -> None:
    with ScriptedServer(s3_error(403, "SignatureDoesNotMatch")) as server:
        storage = _storage(server)
        with pytest.raises(errors.StorageError) as raised:
            storage.get("xe1")
    texts = [str(storage), repr(storage), storage.display_name, "".join(traceback.format_exception(raised.value))]
    assert all(_SECRET not in text for text in texts)


def test_the_bucket_may_be_part_of_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def resolve_to_loopback(host: Any, *arguments: Any, **settings: Any) -> Any:
        return resolve("127.0.0.1" if host == "bucket.s3.test" else host, *arguments, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_to_loopback)
    with ScriptedServer(Answer(200, b"data")) as server:
        location = S3Location("bucket", "p/", endpoint=f"http://s3.test:{server.port}", path_style=False)
        assert S3Storage(location).get("xe1") == b"data"
    assert server.requests[0].path == "/p/xe1"
    assert server.requests[0].headers["Host"] == f"bucket.s3.test:{server.port}"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (S3Location("bucket", region="eu-west-1"), "https://bucket.s3.eu-west-1.amazonaws.com/xe1"),
        (S3Location("dotted.bucket", region="eu-west-1"), "https://s3.eu-west-1.amazonaws.com/dotted.bucket/xe1"),
        (S3Location("bucket", region="eu-west-1", path_style=True), "https://s3.eu-west-1.amazonaws.com/bucket/xe1"),
    ],
)
def test_addresses_of_aws(monkeypatch: pytest.MonkeyPatch, one_attempt: None, location: S3Location, url: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "there is no network")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(errors.StorageUnavailableError) as raised:
        S3Storage(location).get("xe1")
    assert url in str(raised.value)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's context; its certificate, for 127.0.0.1, is its own CA and lies in ``ca.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    tmp_path.joinpath("ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    tmp_path.joinpath("server.pem").write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


def test_a_certificate_of_an_unknown_authority_is_refused(tls: ssl.SSLContext, one_attempt: None) -> None:
    with (
        ScriptedServer(Answer(200, b"data"), tls=tls) as server,
        pytest.raises(errors.StorageError, match="ca-file"),
    ):
        _storage(server).get("xe1")
    assert server.requests == []


def test_the_authority_may_be_named(tls: ssl.SSLContext, tmp_path: Path) -> None:
    with ScriptedServer(Answer(200, b"data"), tls=tls) as server:
        assert _storage(server, ca_file=str(tmp_path / "ca.pem")).get("xe1") == b"data"


def test_any_certificate_may_be_accepted(tls: ssl.SSLContext) -> None:
    with ScriptedServer(Answer(200, b"data"), tls=tls) as server:
        assert _storage(server, insecure_skip_tls_verify=True).get("xe1") == b"data"


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    tmp_path.joinpath("garbage.pem").write_text("no certificate")
    for name, words in (("absent.pem", "No such file"), ("garbage.pem", "holds no certificates")):
        with pytest.raises(errors.StorageError, match=words):
            S3Storage(S3Location("bucket", ca_file=str(tmp_path / name)))


def test_a_server_without_tls(one_attempt: None) -> None:
    with ScriptedServer(Answer()) as server:
        location = S3Location("bucket", endpoint=f"https://127.0.0.1:{server.port}")
        with pytest.raises(errors.StorageError, match="does not speak TLS"):
            S3Storage(location).get("xe1")


def test_threads_share_the_client() -> None:
    with ScriptedServer(Answer(200, b"data")) as server:
        storage = _storage(server)
        results: list[bytes] = []
        threads = [threading.Thread(target=lambda: results.append(storage.get("xe1"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        storage.close()
    assert results == [b"data"] * 20

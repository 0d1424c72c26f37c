from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.location import S3Location, open_storage
from velero_py_plugin.kopia.blob.s3 import S3Storage
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.testing.s3_server import S3Server
from velero_py_plugin.testing.storage_contract import StorageContract


class TestS3Storage(StorageContract):
    @pytest.fixture
    def storage(self, s3_url: str) -> Iterator[Storage]:
        storage = open_storage(s3_url)
        yield storage
        storage.close()


@pytest.fixture
def storage(s3_url: str) -> Iterator[Storage]:
    storage = open_storage(s3_url)
    yield storage
    storage.close()


@pytest.fixture
def location(s3_server: S3Server, s3_environ: None) -> S3Location:
    return S3Location(s3_server.bucket, endpoint=s3_server.endpoint, region=s3_server.region)


def test_listings_are_longer_than_one_page(storage: Storage) -> None:
    names = {f"xn0_{number:032x}" for number in range(1005)}
    for name in names:
        storage.put(name, b"")
    assert {blob.blob_id for blob in storage.list("xn0_")} == names


def test_prefixes_keep_repositories_apart(storage: Storage, s3_url: str) -> None:
    base, query = s3_url.split("?")
    inner = open_storage(f"{base}kopia/app/?{query}")
    inner.put("xe1", b"inner")
    storage.put("xe2", b"outer")
    assert [blob.blob_id for blob in storage.list()] == ["xe2"]
    assert [blob.blob_id for blob in inner.list()] == ["xe1"]


def test_a_repository_at_the_root_of_the_bucket(location: S3Location) -> None:
    storage = S3Storage(location)
    storage.put("kopia.maintenance", b"data")
    assert storage.get("kopia.maintenance") == b"data"
    storage.delete("kopia.maintenance")


def test_objects_that_can_be_no_blobs_are_not_listed(s3_server: S3Server, storage: Storage, s3_url: str) -> None:
    prefix = urlsplit(s3_url).path.removeprefix("/")
    client = s3_server.client()
    for key in ("not a blob", ".storageconfig", "folder/xe1"):
        client.put_object(Bucket=s3_server.bucket, Key=prefix + key, Body=b"")
    client.close()
    storage.put("xe1", b"")
    assert [blob.blob_id for blob in storage.list()] == ["xe1"]


@pytest.mark.parametrize(
    ("access_key", "secret_key"), [("other-access-key", "test-secret-key"), ("test-access-key", "other-secret-key")]
)
def test_wrong_keys(location: S3Location, monkeypatch: pytest.MonkeyPatch, access_key: str, secret_key: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    storage = S3Storage(location)
    for operation in (
        lambda: storage.get("xe1"),
        lambda: storage.put("xe1", b"x" * 1_000_000),
        lambda: storage.delete("xe1"),
        lambda: storage.metadata("xe1"),
        lambda: list(storage.list()),
    ):
        with pytest.raises(errors.StorageError, match="check the keys") as raised:
            operation()
        assert secret_key not in str(raised.value)


def test_a_missing_bucket(s3_server: S3Server, s3_environ: None) -> None:
    storage = S3Storage(S3Location("no-such-bucket", "p/", endpoint=s3_server.endpoint, region=s3_server.region))
    for operation in (
        lambda: storage.get("xe1"),
        lambda: storage.get("xe1", 0, 0),
        lambda: storage.metadata("xe1"),
        lambda: list(storage.list()),
    ):
        with pytest.raises(errors.StorageError, match='bucket "no-such-bucket" does not exist'):
            operation()


def test_no_server_at_the_endpoint(s3_environ: None) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        storage = S3Storage(S3Location("bucket", endpoint=f"http://127.0.0.1:{closed.getsockname()[1]}"))
        begin = time.monotonic()
        with pytest.raises(errors.StorageUnavailableError, match="does not answer"):
            storage.get("xe1")
        assert time.monotonic() - begin < 15


def test_a_server_that_stops_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server(tmp_path) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        storage = open_storage(server.url("p/"))
        storage.put("xe1", b"kept")
        server.stop()
        for operation in (
            lambda: storage.get("xe1"),
            lambda: storage.put("xe2", b"x" * 1_000_000),
            lambda: list(storage.list()),
        ):
            with pytest.raises(errors.StorageUnavailableError, match="does not answer"):
                operation()
        server.start()
        assert open_storage(server.url("p/")).get("xe1") == b"kept"

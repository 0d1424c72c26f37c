from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin import errors as root_errors
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.blob.location import FilesystemLocation, S3Location, open_storage, parse_location
from velero_py_plugin.kopia.blob.s3 import S3Storage


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("file:///srv/repository", FilesystemLocation("/srv/repository")),
        ("file:///", FilesystemLocation("/")),
        ("file:///with%20space/%23%3F%25", FilesystemLocation("/with space/#?%")),
        ("s3://bucket", S3Location("bucket")),
        ("s3://bucket/", S3Location("bucket")),
        ("s3://bucket/velero/kopia/app/", S3Location("bucket", "velero/kopia/app/")),
        ("s3://bucket/velero/kopia/app", S3Location("bucket", "velero/kopia/app/")),
        ("s3://bucket//odd", S3Location("bucket", "/odd/")),
        ("s3://my.bucket_1/a%20b", S3Location("my.bucket_1", "a b/")),
        (
            "s3://bucket/p/?endpoint=http://127.0.0.1:9000&region=eu-central-1",
            S3Location("bucket", "p/", endpoint="http://127.0.0.1:9000", region="eu-central-1"),
        ),
        (
            "s3://b1/p?endpoint=https%3A%2F%2Fs3.example%2F&ca-file=/etc/ca+1.pem&insecure-skip-tls-verify=true",
            S3Location(
                "b1", "p/", endpoint="https://s3.example", ca_file="/etc/ca 1.pem", insecure_skip_tls_verify=True
            ),
        ),
        (
            "s3://bucket?path-style=false&profile=backup&insecure-skip-tls-verify=false&region=",
            S3Location("bucket", path_style=False, profile="backup"),
        ),
        ("s3://bucket?path-style=true", S3Location("bucket", path_style=True)),
    ],
)
def test_urls(url: str, location: FilesystemLocation | S3Location) -> None:
    assert parse_location(url) == location


_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
_S3_LOCATIONS = st.builds(
    S3Location,
    bucket=st.from_regex(r"[a-z0-9][a-z0-9.-]{1,30}", fullmatch=True),
    prefix=_TEXT.map(lambda text: text and text.rstrip("/") + "/"),
    endpoint=st.sampled_from(["", "http://127.0.0.1:9000", "https://s3.example", "http://[::1]:1"]),
    region=_TEXT,
    ca_file=_TEXT,
    credentials_file=_TEXT,
    insecure_skip_tls_verify=st.booleans(),
    path_style=st.none() | st.booleans(),
    profile=_TEXT,
)


@given(_S3_LOCATIONS | st.builds(FilesystemLocation, _TEXT.map(lambda text: "/" + text)))
def test_a_location_as_text_is_its_url(location: FilesystemLocation | S3Location) -> None:
    assert parse_location(str(location)) == location


@given(st.text(max_size=60) | st.text("s3:file/?&=@#%[]endpoint", max_size=60).map(lambda text: "s3://" + text))
def test_any_text_is_a_location_or_a_mistake_of_the_user(text: str) -> None:
    try:
        location = parse_location(text)
    except root_errors.UsageError:
        return
    assert parse_location(str(location)) == location


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/srv/repository", "write file:///srv/repository"),
        ("repository", "cannot start with 'repository'"),
        ("", "cannot start with ''"),
        ("gs://bucket/p", "cannot start with 'gs:'"),
        ("S3:bucket", "no name of a bucket"),
        ("file://server/share", "three slashes"),
        ("file:relative", "three slashes"),
        ("file:///a%00b", "three slashes"),
        ("file:///srv?create=true", "no parameters"),
        ("file:///srv#1", "%23"),
        ("s3://bucket/p#1", "%23"),
        ("s3:///prefix", "no name of a bucket"),
        ("s3://127.0.0.1:9000/bucket", "endpoint"),
        ("s3://bucket/p?regoin=eu", "'regoin'; known are endpoint, region, ca-file"),
        ("s3://bucket/p?region=a&region=b", "twice"),
        ("s3://bucket/p?path-style=yes", "true or false"),
        ("s3://bucket/p?insecure-skip-tls-verify=1", "true or false"),
        ("s3://bucket/p?endpoint=127.0.0.1:9000", "http://host"),
        ("s3://bucket/p?endpoint=ftp://host", "http://host"),
        ("s3://bucket/p?endpoint=http://", "http://host"),
        ("s3://bucket/p?endpoint=http://host/path", "http://host"),
        ("s3://bucket/p?endpoint=http://host:port", "http://host"),
        ("s3://bucket/p?endpoint=http://[::1", "http://host"),
        ("s3://[bucket/p", "no repository URL"),
    ],
)
def test_mistakes_are_explained(url: str, words: str) -> None:
    with pytest.raises(root_errors.UsageError) as raised:
        parse_location(url)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEYID:Pa55word@bucket/p",
        "s3://Pa55word@bucket/p",
        "s3://bucket/p?endpoint=http://KEYID:Pa55word@host",
        "s3://bucket/p?secret-key=Pa55word",
        "gs://KEYID:Pa55word@bucket",
        "s3:KEYID:Pa55word",
    ],
)
def test_credentials_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(root_errors.UsageError) as raised:
        parse_location(url)
    assert "Pa55word" not in str(raised.value)


def test_opening_a_folder(tmp_path: Path) -> None:
    storage = open_storage(f"file://{tmp_path}/store", create=True)
    assert isinstance(storage, FilesystemStorage)
    assert storage.path == f"{tmp_path}/store"
    with pytest.raises(errors.StorageError):
        open_storage(f"file://{tmp_path}/absent")


def test_opening_a_bucket_makes_no_request() -> None:
    storage = open_storage("s3://bucket/p?endpoint=http://127.0.0.1:1")
    assert isinstance(storage, S3Storage)
    assert storage.display_name == "s3://bucket/p/ at http://127.0.0.1:1"
    storage.close()


def test_a_folder_does_not_need_boto3(tmp_path: Path) -> None:
    code = (
        "import sys; from velero_py_plugin.kopia.blob import location;"
        "location.open_storage(sys.argv[1], create=True).put('xe1', b'');"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, f"file://{tmp_path}"], check=True)

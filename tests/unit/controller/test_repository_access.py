"""Where a repository is and what opens it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, strategies

from tests.unit.controller.environment import NAMESPACE_OF_VELERO, Environment
from velero_py_plugin.api.backup_storage_location import BackupStorageLocation
from velero_py_plugin.api.resource import SECRET
from velero_py_plugin.controller.errors import (
    SecretKeyMissingError,
    StorageLocationInvalidError,
    StorageLocationNotFoundError,
)
from velero_py_plugin.controller.repository_access import (
    AccessReader,
    RepositoryAccess,
    repository_url,
)
from velero_py_plugin.kopia.blob import location as blob_location


def location(**spec: Any) -> BackupStorageLocation:
    return BackupStorageLocation.from_object({"metadata": {"name": "default"}, "spec": spec})


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({"provider": "aws", "objectStorage": {"bucket": "bkt"}}, "s3://bkt/kopia/app/"),
        (
            {"provider": "velero.io/aws", "objectStorage": {"bucket": "bkt", "prefix": "/p/q/"}},
            "s3://bkt/p/q/kopia/app/",
        ),
        ({"provider": "aws", "config": {"bucket": "bkt", "prefix": "p"}}, "s3://bkt/p/kopia/app/"),
        (
            {
                "provider": "aws",
                "objectStorage": {"bucket": "bkt"},
                "config": {"region": "eu-1", "s3Url": "https://s:9/"},
            },
            "s3://bkt/kopia/app/?endpoint=https%3A%2F%2Fs%3A9&region=eu-1",
        ),
        (
            {"provider": "other.io/store", "objectStorage": {"bucket": "bkt"}, "config": {"s3Url": "http://s"}},
            "s3://bkt/kopia/app/?endpoint=http%3A%2F%2Fs",
        ),
        (
            {
                "provider": "aws",
                "objectStorage": {"bucket": "bkt"},
                "config": {"insecureSkipTLSVerify": "true", "s3ForcePathStyle": "true", "profile": "backup"},
            },
            "s3://bkt/kopia/app/?insecure-skip-tls-verify=true&path-style=true&profile=backup",
        ),
        ({"provider": "fs", "config": {"fspath": "/srv/my backups/"}}, "file:///srv/my%20backups/kopia/app"),
    ],
)
def test_url(spec: dict[str, Any], url: str) -> None:
    assert repository_url(location(**spec), "app") == url
    blob_location.parse_location(url)


@given(
    strategies.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True),
    strategies.text(strategies.characters(codec="utf-8", exclude_characters="/", min_codepoint=32), max_size=10),
    strategies.sampled_from(["", "http://s3.example:9000"]),
)
def test_the_repository_library_reads_the_url_as_it_was_meant(bucket: str, prefix: str, endpoint: str) -> None:
    spec = {"provider": "aws", "objectStorage": {"bucket": bucket, "prefix": prefix}, "config": {"s3Url": endpoint}}
    parsed = blob_location.parse_location(repository_url(location(**spec), "app"))
    assert isinstance(parsed, blob_location.S3Location)
    assert parsed.bucket == bucket
    assert parsed.prefix == (f"{prefix}/kopia/app/" if prefix else "kopia/app/")
    assert parsed.endpoint == endpoint


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "(none)"),
        ({"provider": "azure"}, "velero.io/azure"),
        ({"provider": "aws"}, "no bucket"),
        ({"provider": "aws", "config": {"bucket": "bkt", "s3Url": "s3.example"}}, "s3Url"),
        ({"provider": "aws", "config": {"bucket": "bkt", "s3Url": "http://s3.example/minio"}}, "without credentials"),
        (
            {"provider": "aws", "config": {"bucket": "bkt", "s3Url": "http://me:secret@s3.example"}},
            "without credentials",
        ),
        ({"provider": "fs", "config": {"fspath": "backups"}}, "fspath"),
    ],
)
def test_no_usable_place(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(StorageLocationInvalidError) as caught:
        repository_url(location(**spec), "app")
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def make_secret(environment: Environment, name: str, **data: str) -> None:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    environment.kube.create(SECRET, {"metadata": {"name": name}, "data": encoded}, NAMESPACE_OF_VELERO)


def test_reads_secrets(environment: Environment) -> None:
    make_secret(environment, "velero-repo-credentials", **{"repository-password": " s3cret\n"})
    make_secret(environment, "cloud", key="[default]\n")
    make_secret(environment, "ca", pem="PEM")
    reader = AccessReader(environment.kube, NAMESPACE_OF_VELERO)
    place = location(
        provider="aws",
        objectStorage={"bucket": "bkt", "caCertRef": {"name": "ca", "key": "pem"}},
        credential={"name": "cloud", "key": "key"},
    )
    access = reader.access(place, "app")
    assert (access.password, access.credentials, access.ca_certificate) == ("s3cret", "[default]\n", "PEM")
    assert "s3cret" not in repr(access)
    assert "[default]" not in repr(access)


def test_velero_s_password_where_there_is_no_secret(environment: Environment) -> None:
    place = location(provider="aws", objectStorage={"bucket": "bkt"})
    access = AccessReader(environment.kube, NAMESPACE_OF_VELERO).access(place, "app")
    assert (access.password, access.credentials) == ("static-passw0rd", "")


def test_a_password_secret_without_the_key(environment: Environment) -> None:
    make_secret(environment, "velero-repo-credentials", other="x")
    with pytest.raises(SecretKeyMissingError, match="repository-password"):
        AccessReader(environment.kube, NAMESPACE_OF_VELERO).access(
            location(provider="aws", config={"bucket": "bkt"}), "a"
        )


def test_a_credential_that_does_not_exist(environment: Environment) -> None:
    place = location(provider="aws", config={"bucket": "bkt"}, credential={"name": "cloud", "key": "key"})
    with pytest.raises(SecretKeyMissingError, match="cloud"):
        AccessReader(environment.kube, NAMESPACE_OF_VELERO).access(place, "app")


def test_a_location_that_does_not_exist(environment: Environment) -> None:
    with pytest.raises(StorageLocationNotFoundError, match="elsewhere"):
        AccessReader(environment.kube, NAMESPACE_OF_VELERO).location("elsewhere")


def test_a_mounted_credentials_file(environment: Environment) -> None:
    path = environment.here / "credentials"
    path.write_text("[default]\n")
    reader = AccessReader(environment.kube, NAMESPACE_OF_VELERO)
    config = {"bucket": "bkt", "credentialsFile": str(path)}
    assert reader.access(location(provider="aws", config=config), "app").credentials == "[default]\n"
    path.unlink()
    with pytest.raises(StorageLocationInvalidError, match="credentials"):
        reader.access(location(provider="aws", config=config), "app")


def test_files_of_an_access(tmp_path: Path) -> None:
    access = RepositoryAccess("s3://bkt/kopia/app/?region=eu-1", "secret", "PEM", "[default]")
    files = access.write(tmp_path)
    assert files.url.startswith("s3://bkt/kopia/app/?region=eu-1&ca-file=")
    assert files.url.endswith(urlencode({"credentials-file": str(tmp_path / "credentials")}))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "password": "secret",
        "ca.pem": "PEM",
        "credentials": "[default]",
    }
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    plain = RepositoryAccess("s3://bkt/kopia/app/", "secret", ca_certificate="PEM").write(tmp_path)
    assert plain.url.startswith("s3://bkt/kopia/app/?ca-file=")
    assert "credentials" not in plain.url

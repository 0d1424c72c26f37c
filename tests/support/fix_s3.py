"""A real S3 server for the whole run, and a place in its bucket for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from velero_py_plugin.testing.s3_server import S3Server

pytest.register_assert_rewrite("velero_py_plugin.testing.storage_contract")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running SeaweedFS with one bucket."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_environ(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets boto3 find the server's keys, and no others."""
    forget_aws_settings(monkeypatch)
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_url(s3_server: S3Server, s3_environ: None) -> str:
    """The repository URL of a prefix that no other test uses; the keys are in the environment."""
    return s3_server.url(f"{uuid.uuid4()}/")


def forget_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes keys, profiles, regions and certificates of whoever runs the tests from the environment."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_CA_BUNDLE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
    ):
        monkeypatch.delenv(name, raising=False)

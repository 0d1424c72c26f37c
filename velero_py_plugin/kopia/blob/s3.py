"""Blobs as objects of an S3 bucket.

Source of the layout: kopia v0.23.1 ``repo/blob/s3/s3_storage.go``. A key is the prefix and the blob's name; objects
are put in one part, with content type ``application/x-kopia`` and a Content-MD5, which buckets with a retention rule
demand.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import ssl
import warnings
from collections.abc import Iterator
from typing import Any, Final

import boto3.session
import botocore.config
import botocore.session

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import blob_id as blob_ids
from velero_py_plugin.kopia.blob import s3_errors
from velero_py_plugin.kopia.blob.location import S3Location
from velero_py_plugin.kopia.blob.storage import BlobMetadata

_CONTENT_TYPE: Final = "application/x-kopia"
_DEFAULT_REGION: Final = "us-east-1"
# A server that is gone is reported after four times the first, and boto3's own pauses, which add up to 7 s at most.
_CONNECT_TIMEOUT: Final = 3.0
_READ_TIMEOUT: Final = 30.0
_ATTEMPTS: Final = 4
# Threads beyond this number open connections that are not kept.
_CONNECTIONS: Final = 32
_SEND_BLOCK: Final = 16 * 1024


class S3Storage:
    """Keeps blobs as the objects of one prefix in one bucket.

    Opening makes no request. All threads share one client and its connections. Requests that fail for a reason that may
    pass are repeated a few times before an error is raised.

    Args:
        location: Where.

    Raises:
        StorageError: The settings, such as region, profile or CA file, cannot be used.
    """

    def __init__(self, location: S3Location) -> None:
        self._location = location
        if location.ca_file:
            _check_ca_file(location.ca_file)
        if location.credentials_file and not os.access(location.credentials_file, os.R_OK):
            raise errors.StorageError(
                f"The file {location.credentials_file} that credentials-file names cannot be read."
            )
        if location.insecure_skip_tls_verify:
            # Whoever asked for it need not be told with every request.
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        with self._translated("use the settings"):
            session = _session(location)
            self._client: Any = session.client(
                "s3",
                region_name=location.region or session.region_name or _DEFAULT_REGION,
                endpoint_url=location.endpoint or None,
                verify=False if location.insecure_skip_tls_verify else location.ca_file or None,
                config=botocore.config.Config(
                    connect_timeout=_CONNECT_TIMEOUT,
                    read_timeout=_READ_TIMEOUT,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                    max_pool_connections=_CONNECTIONS,
                    # Servers other than AWS do not know the checksums that boto3 adds on its own since 1.36.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    s3={"addressing_style": _addressing_style(location)},
                ),
            )

    @property
    def display_name(self) -> str:
        """Bucket, prefix and server in words."""
        return s3_errors.place(self._location)

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """Reads a blob or a range of it; see ``Storage.get``."""
        request = self._request(blob_id)
        if length == 0:
            return self._nothing(blob_id, offset)
        if length > 0:
            request["Range"] = f"bytes={offset}-{offset + length - 1}"
        elif offset > 0:
            request["Range"] = f"bytes={offset}-"
        try:
            data = self._read(blob_id, request)
        except s3_errors.EXCEPTIONS as error:
            if s3_errors.is_missing(error):
                raise self._missing(blob_id) from error
            if not s3_errors.is_outside(error):
                raise s3_errors.translate(error, self._location, f"read blob {blob_id}") from error
            if length > 0:
                raise self._too_short(blob_id, offset + length) from error
            return self._nothing(blob_id, offset)
        if length > 0 and len(data) != length:
            raise self._too_short(blob_id, offset + length)
        return data

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """Stores a blob; see ``Storage.put``."""
        request = self._request(blob_id)
        checksum = hashlib.md5(data, usedforsecurity=False).digest()
        with self._translated(f"write blob {blob_id}"):
            self._client.put_object(
                **request,
                Body=_Body(data),
                ContentMD5=base64.b64encode(checksum).decode(),
                ContentType=_CONTENT_TYPE,
            )

    def delete(self, blob_id: str) -> None:
        """Removes a blob; a missing one is success."""
        request = self._request(blob_id)
        with self._translated(f"delete blob {blob_id}"):
            try:
                self._client.delete_object(**request)
            except s3_errors.EXCEPTIONS as error:
                if not s3_errors.is_missing(error):
                    raise

    def metadata(self, blob_id: str) -> BlobMetadata:
        """Looks up one blob; see ``Storage.metadata``."""
        request = self._request(blob_id)
        with self._translated(f"look up blob {blob_id}"):
            try:
                answer = self._client.head_object(**request)
            except s3_errors.EXCEPTIONS as error:
                if not s3_errors.is_missing(error):
                    raise
                # The answer to this kind of request has no body that would tell a missing object from a missing bucket.
                self._check_bucket()
                raise self._missing(blob_id) from error
        return BlobMetadata(blob_id, int(answer["ContentLength"]), answer["LastModified"].timestamp())

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        """Lists the blobs whose names start with ``prefix``; objects that can be no blobs are passed over."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._location.bucket, Prefix=self._location.prefix + prefix, Delimiter="/"
        )
        rest = iter(pages)
        while True:
            with self._translated("list the blobs"):
                page = next(rest, None)
            if page is None:
                return
            for entry in page.get("Contents", ()):
                blob_id = entry["Key"].removeprefix(self._location.prefix)
                if blob_ids.is_blob_id(blob_id):
                    yield BlobMetadata(blob_id, int(entry["Size"]), entry["LastModified"].timestamp())

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _request(self, blob_id: str) -> dict[str, Any]:
        blob_ids.check_blob_id(blob_id)
        return {"Bucket": self._location.bucket, "Key": self._location.prefix + blob_id}

    def _read(self, blob_id: str, request: dict[str, Any]) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self._client.get_object(**request)
            # boto3 repeats a request only until the answer begins: a connection that breaks later is ours to repeat.
            try:
                with contextlib.closing(answer["Body"]) as body:
                    return bytes(body.read())
            except s3_errors.EXCEPTIONS:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError(f"reading blob {blob_id} neither succeeded nor failed")

    def _nothing(self, blob_id: str, offset: int) -> bytes:
        """Reads no bytes at ``offset``, for which S3 has no request."""
        if offset > self.metadata(blob_id).length:
            raise self._too_short(blob_id, offset)
        return b""

    def _check_bucket(self) -> None:
        try:
            self._client.head_bucket(Bucket=self._location.bucket)
        except s3_errors.EXCEPTIONS as error:
            if s3_errors.is_missing(error):
                raise s3_errors.missing_bucket(self._location) from error

    def _missing(self, blob_id: str) -> errors.BlobMissingError:
        return errors.BlobMissingError(f"Blob {blob_id} does not exist in {self.display_name}.")

    def _too_short(self, blob_id: str, wanted: int) -> errors.CorruptRepositoryError:
        return errors.CorruptRepositoryError(
            f"Blob {blob_id} in {self.display_name} was cut short: it must have at least {wanted} bytes."
        )

    @contextlib.contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except s3_errors.EXCEPTIONS as error:
            raise s3_errors.translate(error, self._location, action) from error


class _Body:
    """The bytes to send, as the file that boto3 makes of them anyway, but without a copy and in smaller pieces.

    Each piece has to get onto the line within the connect timeout, also when many threads share a slow line.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._position + min(size, _SEND_BLOCK)
        piece = bytes(self._data[self._position : end])
        self._position += len(piece)
        return piece


def _session(location: S3Location) -> boto3.session.Session:
    core = botocore.session.Session(profile=location.profile or None)
    if location.credentials_file:
        core.set_config_variable("credentials_file", location.credentials_file)
        # boto3 would prefer the environment, which may hold the keys of another account.
        core.get_component("credential_provider").remove("env")
    return boto3.session.Session(botocore_session=core)


def _check_ca_file(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise errors.StorageError(
            f"The file {path} that ca-file names holds no certificates in PEM form: {error.strerror or error}."
        ) from error


def _addressing_style(location: S3Location) -> str:
    path_style = bool(location.endpoint) if location.path_style is None else location.path_style
    if path_style:
        return "path"
    # For AWS "auto" is the host name too, except for buckets whose names no certificate covers.
    return "virtual" if location.endpoint else "auto"

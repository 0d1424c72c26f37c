"""Blobs as objects of an S3 bucket.

Source: kopia v0.23.1 ``repo/blob/s3/s3_storage.go``: key = prefix + blob id, single-part puts with content type
``application/x-kopia``. Retries are boto3's own, bounded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.storage import BlobMetadata

_CONNECTIONS: Final = 16
_CONNECT_TIMEOUT: Final = 5  # seconds
_READ_TIMEOUT: Final = 60  # seconds without a byte
_ATTEMPTS: Final = 4
_CONTENT_TYPE: Final = "application/x-kopia"
_DEFAULT_REGION: Final = "us-east-1"
_MISSING: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_REFUSED: Final = frozenset(
    {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)


@dataclasses.dataclass(frozen=True)
class S3Location:
    """A prefix in a bucket.

    Attributes:
        bucket: Name of the bucket.
        prefix: Put before every blob id as it is.
        endpoint: URL of a server that is not AWS; empty for AWS.
        region: Signing region.
        ca_file: Certificates to trust instead of the system's.
        insecure_skip_tls_verify: Accept any certificate.
        path_style: Put the bucket into the path instead of the host name.
        profile: Named profile of the credentials file.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    ca_file: str = ""
    insecure_skip_tls_verify: bool = False
    path_style: bool = False
    profile: str = ""

    def __str__(self) -> str:
        values = {
            "endpoint": self.endpoint,
            "region": self.region,
            "ca-file": self.ca_file,
            "insecure-skip-tls-verify": "true" if self.insecure_skip_tls_verify else "",
            "path-style": "" if self.path_style == bool(self.endpoint) else str(self.path_style).lower(),
            "profile": self.profile,
        }
        query = urllib.parse.urlencode({key: value for key, value in values.items() if value}, safe=":/")
        return f"s3://{self.bucket}/{urllib.parse.quote(self.prefix)}{'?' + query if query else ''}"


class S3Storage:
    """Objects below a prefix; safe to use from many threads.

    Args:
        location: Where.

    Raises:
        StorageError: The settings or credentials cannot be used.
    """

    def __init__(self, location: S3Location) -> None:
        # Loaded here because they cost 150 ms and 30 MB, which a repository in a folder need not pay.
        import boto3  # noqa: PLC0415
        import botocore.config  # noqa: PLC0415
        import botocore.exceptions  # noqa: PLC0415

        self._location = location
        self._errors = botocore.exceptions
        config = botocore.config.Config(
            region_name=location.region or None,
            max_pool_connections=_CONNECTIONS,
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            s3={"addressing_style": "path" if location.path_style else "virtual"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with self._translated("the S3 client cannot be set up"):
            session = boto3.session.Session(profile_name=location.profile or None)
            region = location.region or session.region_name or _DEFAULT_REGION
            self._client: Any = session.client(
                "s3",
                region_name=region,
                endpoint_url=location.endpoint or None,
                verify=False if location.insecure_skip_tls_verify else location.ca_file or None,
                config=config,
            )

    @property
    def display_name(self) -> str:
        """Bucket, prefix and server."""
        server = f" at {self._location.endpoint}" if self._location.endpoint else ""
        return f"s3://{self._location.bucket}/{self._location.prefix}{server}"

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """See ``Storage.get``."""
        if length == 0:
            self.metadata(blob_id)
            return b""
        wanted: dict[str, str] = {}
        if length > 0:
            wanted["Range"] = f"bytes={offset}-{offset + length - 1}"
        elif offset:
            wanted["Range"] = f"bytes={offset}-"
        with self._translated(f"the blob {blob_id} cannot be read", blob_id):
            answer = self._client.get_object(Bucket=self._location.bucket, Key=self._key(blob_id), **wanted)
            with contextlib.closing(answer["Body"]) as body:
                data: bytes = body.read()
        if length >= 0 and len(data) != length:
            raise errors.CorruptRepositoryError(
                f"the blob {blob_id} in {self.display_name} is truncated: bytes {offset} to {offset + length} were "
                f"wanted, {len(data)} are there"
            )
        return data

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """See ``Storage.put``."""
        with self._translated(f"the blob {blob_id} cannot be written"):
            self._client.put_object(
                Bucket=self._location.bucket,
                Key=self._key(blob_id),
                Body=data if isinstance(data, bytes | bytearray) else bytes(data),
                ContentType=_CONTENT_TYPE,
            )

    def delete(self, blob_id: str) -> None:
        """See ``Storage.delete``."""
        with (
            contextlib.suppress(errors.BlobMissingError),
            self._translated(f"the blob {blob_id} cannot be deleted", blob_id),
        ):
            self._client.delete_object(Bucket=self._location.bucket, Key=self._key(blob_id))

    def metadata(self, blob_id: str) -> BlobMetadata:
        """See ``Storage.metadata``."""
        with self._translated(f"the blob {blob_id} cannot be looked up", blob_id):
            answer = self._client.head_object(Bucket=self._location.bucket, Key=self._key(blob_id))
        return BlobMetadata(blob_id, answer["ContentLength"], answer["LastModified"].timestamp())

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        """See ``Storage.list``."""
        with self._translated("the blobs cannot be listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._location.bucket, Prefix=self._key(prefix), Delimiter="/"
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    blob_id = item["Key"][len(self._location.prefix) :]
                    yield BlobMetadata(blob_id, item["Size"], item["LastModified"].timestamp())

    def close(self) -> None:
        """See ``Storage.close``."""
        self._client.close()

    def _key(self, blob_id: str) -> str:
        return self._location.prefix + blob_id

    @contextlib.contextmanager
    def _translated(self, what: str, blob_id: str = "") -> Iterator[None]:
        """Turns botocore's exceptions into ours; none of the texts used holds a secret."""
        known = self._errors
        try:
            yield
        except known.ClientError as error:
            raise self._refusal(what, blob_id, error) from error
        except (known.NoCredentialsError, known.PartialCredentialsError, known.ProfileNotFound) as error:
            raise errors.StorageError(
                f"{what}: no usable S3 credentials were found ({error}); set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE"
            ) from error
        except known.SSLError as error:
            raise errors.StorageError(
                f"{what}: the certificate of {self.display_name} is not trusted; name its CA with ca-file"
            ) from error
        except (known.HTTPClientError, known.IncompleteReadError, known.ResponseStreamingError) as error:
            raise errors.StorageUnavailableError(f"{what}: {self.display_name} does not answer ({error})") from error
        except (known.ParamValidationError, ValueError, known.InvalidRegionError) as error:
            raise errors.StorageError(f"{what}: {self.display_name} is not usable ({error})") from error
        except known.BotoCoreError as error:
            raise errors.StorageError(f"{what}: {error}") from error

    def _refusal(self, what: str, blob_id: str, error: Any) -> errors.RepositoryError | errors.StorageUnavailableError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            return errors.StorageError(f"the bucket of {self.display_name} does not exist")
        if blob_id and code in _MISSING:
            return errors.BlobMissingError(f"the blob {blob_id} does not exist in {self.display_name}")
        if code in ("InvalidRange", "416"):
            return errors.CorruptRepositoryError(f"the blob {blob_id} in {self.display_name} is truncated")
        if code in _REFUSED:
            return errors.StorageError(f"{what}: {self.display_name} refuses the credentials or the action ({code})")
        if status >= 500 or status == 429 or code in ("SlowDown", "RequestTimeout"):
            return errors.StorageUnavailableError(f"{what}: {self.display_name} fails for now ({status} {code})")
        return errors.StorageError(f"{what}: {self.display_name} answers {status} {code}")

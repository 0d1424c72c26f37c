"""Where a repository is, as one URL.

``file:///folder`` is a folder. ``s3://bucket/prefix?endpoint=URL&region=NAME`` is a prefix in a bucket; a prefix that
does not end in ``/`` gets one, because Velero and kopia take it verbatim and Velero always ends it so. Further
parameters: ``ca-file``, ``insecure-skip-tls-verify``, ``path-style``, ``profile``. Credentials never are part of it.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from typing import Final

from velero_py_plugin import errors
from velero_py_plugin.kopia.blob import filesystem, s3
from velero_py_plugin.kopia.blob import storage as blob_storage

_PARAMETERS: Final = ("endpoint", "region", "ca-file", "insecure-skip-tls-verify", "path-style", "profile")
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


@dataclasses.dataclass(frozen=True)
class FilesystemLocation:
    """A folder."""

    path: str

    def __str__(self) -> str:
        return f"file://{urllib.parse.quote(self.path)}"


def parse_location(url: str) -> FilesystemLocation | s3.S3Location:
    """Reads a repository URL.

    Raises:
        UsageError: It is not one of the two forms.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise errors.UsageError(
            "credentials do not belong into a repository URL: use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_SHARED_CREDENTIALS_FILE"
        )
    if parts.scheme == "file":
        path = urllib.parse.unquote(parts.path)
        if parts.netloc or parts.query or not path.startswith("/"):
            raise errors.UsageError(f"{url!r} is not of the form file:///absolute/path")
        return FilesystemLocation(path)
    if parts.scheme == "s3":
        return _parse_s3(url, parts)
    hint = f"; did you mean file://{url}?" if url.startswith("/") else ""
    raise errors.UsageError(
        f"{url!r} is no repository URL: use file:///path or s3://bucket/prefix?endpoint=…&region=…{hint}"
    )


def open_storage(url: str, *, create: bool = False) -> blob_storage.Storage:
    """Opens the storage at a repository URL.

    Args:
        url: See the module's description.
        create: Make the folder of a ``file`` URL when it is missing; buckets are never made.

    Raises:
        UsageError: It is no repository URL.
        StorageError, StorageUnavailableError: The place cannot be used.
    """
    location = parse_location(url)
    if isinstance(location, FilesystemLocation):
        return filesystem.FilesystemStorage(location.path, create=create)
    return s3.S3Storage(location)


def _parse_s3(url: str, parts: urllib.parse.SplitResult) -> s3.S3Location:
    if not parts.netloc:
        raise errors.UsageError(f"{url!r} names no bucket: use s3://bucket/prefix")
    prefix = urllib.parse.unquote(parts.path).lstrip("/")
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    values: dict[str, str] = {}
    for key, value in urllib.parse.parse_qsl(parts.query, keep_blank_values=True):
        if key not in _PARAMETERS:
            raise errors.UsageError(f"the repository URL has the parameter {key!r}; known are {', '.join(_PARAMETERS)}")
        values[key] = value
    endpoint = values.get("endpoint", "")
    if endpoint and urllib.parse.urlsplit(endpoint).scheme not in ("http", "https"):
        raise errors.UsageError(f"the endpoint {endpoint!r} is not an http or https URL")
    return s3.S3Location(
        bucket=parts.netloc,
        prefix=prefix,
        endpoint=endpoint,
        region=values.get("region", ""),
        ca_file=values.get("ca-file", ""),
        insecure_skip_tls_verify=_boolean(values, "insecure-skip-tls-verify", default=False),
        path_style=_boolean(values, "path-style", default=bool(endpoint)),
        profile=values.get("profile", ""),
    )


def _boolean(values: dict[str, str], key: str, *, default: bool) -> bool:
    if key not in values:
        return default
    if values[key] not in _BOOLEANS:
        raise errors.UsageError(f"the parameter {key} of the repository URL must be true or false")
    return _BOOLEANS[values[key]]

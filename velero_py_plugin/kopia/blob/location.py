"""Where a repository is, as one URL.

``file:///folder``
    A folder.

``s3://bucket/prefix/?endpoint=URL&region=NAME&...``
    The objects of a bucket whose keys start with ``prefix/``. Stores put the prefix before a blob's name as it is, and
    so do kopia and Velero, which always ends it in ``/``: a prefix that does not end so gets its ``/`` here.
    Parameters, all optional:

    ``endpoint``
        ``http(s)://host[:port]`` of a server that is not AWS.
    ``region``
        The bucket's region; else the one of the profile or the environment, else ``us-east-1``.
    ``ca-file``
        File of the certificates to trust instead of the system's.
    ``insecure-skip-tls-verify``
        ``true`` accepts any certificate.
    ``path-style``
        ``true`` puts the bucket into the path, ``false`` into the host name; without it an endpoint means ``true``.
    ``credentials-file``
        AWS credentials file to take instead of what boto3 finds in the environment and the home folder.
    ``profile``
        Section of the credentials file.

Credentials themselves are never part of a URL: they lie in a file, or boto3 finds them in the environment, in the home
folder, or asks the cloud for them.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from typing import Final

from velero_py_plugin import errors
from velero_py_plugin.kopia.blob import filesystem
from velero_py_plugin.kopia.blob.storage import Storage

_PARAMETERS: Final = (
    "endpoint",
    "region",
    "ca-file",
    "insecure-skip-tls-verify",
    "path-style",
    "credentials-file",
    "profile",
)
_BOOLEANS: Final = {"true": True, "false": False}
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", re.ASCII)
_FORMS: Final = "use file:///folder or s3://bucket/prefix?endpoint=URL&region=NAME"


@dataclasses.dataclass(frozen=True)
class FilesystemLocation:
    """A folder.

    Attributes:
        path: The folder, absolute.
    """

    path: str

    def __str__(self) -> str:
        return f"file://{urllib.parse.quote(self.path)}"


@dataclasses.dataclass(frozen=True)
class S3Location:
    """A part of a bucket.

    Attributes:
        bucket: Name of the bucket.
        prefix: Put before every blob's name as it is; usually ends in ``/``.
        endpoint: ``http(s)://host[:port]`` of a server that is not AWS; empty for AWS.
        region: The bucket's region; empty to take it from profile or environment.
        ca_file: File of certificates to trust instead of the system's; empty for the system's.
        insecure_skip_tls_verify: Accept any certificate.
        path_style: Whether the bucket goes into the path (else into the host name); None to follow ``endpoint``.
        credentials_file: AWS credentials file; empty to take what boto3 finds.
        profile: Section of the credentials file; empty for the default.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    ca_file: str = ""
    insecure_skip_tls_verify: bool = False
    path_style: bool | None = None
    credentials_file: str = ""
    profile: str = ""

    def __str__(self) -> str:
        values = {
            "endpoint": self.endpoint,
            "region": self.region,
            "ca-file": self.ca_file,
            "insecure-skip-tls-verify": "true" if self.insecure_skip_tls_verify else "",
            "path-style": "" if self.path_style is None else str(self.path_style).lower(),
            "credentials-file": self.credentials_file,
            "profile": self.profile,
        }
        query = urllib.parse.urlencode({key: value for key, value in values.items() if value}, safe=":/")
        return f"s3://{self.bucket}/{urllib.parse.quote(self.prefix)}{'?' if query else ''}{query}"


def parse_location(url: str) -> FilesystemLocation | S3Location:
    """Reads a repository URL; the module's description has its forms.

    Raises:
        UsageError: It is not of one of the forms.
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise errors.UsageError(f"This is no repository URL ({error}): {_FORMS}.") from error
    # First of all, so that no other message repeats a URL with a secret in it.
    _refuse_credentials(parts)
    if parts.fragment:
        raise errors.UsageError("A repository URL cannot have a part after #; write a # that is meant as %23.")
    if parts.scheme == "file":
        return _parse_file(parts)
    if parts.scheme == "s3":
        return _parse_s3(parts)
    if url.startswith("/"):
        raise errors.UsageError(f"A repository is named by a URL; for the folder {url} write file://{url}.")
    raise errors.UsageError(
        f"A repository URL cannot start with {parts.scheme + ':' if parts.scheme else url!r}: {_FORMS}."
    )


def open_storage(url: str, *, create: bool = False) -> Storage:
    """Opens the storage at a repository URL.

    Args:
        url: The URL; the module's description has its forms.
        create: Make the folder of a ``file`` URL when it is missing; buckets are never made.

    Raises:
        UsageError: It is no repository URL.
        StorageError: The place or its settings cannot be used.
        StorageUnavailableError: The place fails for now.
        CorruptRepositoryError: The folder's layout file is damaged.
    """
    location = parse_location(url)
    if isinstance(location, FilesystemLocation):
        return filesystem.FilesystemStorage(location.path, create=create)
    # boto3 costs 200 ms and 35 MB, which nobody pays whose repository is a folder.
    from velero_py_plugin.kopia.blob import s3  # noqa: PLC0415

    return s3.S3Storage(location)


def _refuse_credentials(parts: urllib.parse.SplitResult) -> None:
    if "@" in parts.netloc:
        raise errors.UsageError(
            "Credentials cannot be part of a repository URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or name a file in AWS_SHARED_CREDENTIALS_FILE."
        )


def _parse_file(parts: urllib.parse.SplitResult) -> FilesystemLocation:
    path = urllib.parse.unquote(parts.path, errors="surrogateescape")
    if parts.netloc or not path.startswith("/") or "\0" in path:
        raise errors.UsageError("A folder is named by three slashes and its absolute path: file:///folder.")
    if parts.query:
        raise errors.UsageError("The URL of a folder has no parameters; write a ? that is meant as %3F.")
    return FilesystemLocation(path)


def _parse_s3(parts: urllib.parse.SplitResult) -> S3Location:
    if not _BUCKET.fullmatch(parts.netloc):
        raise errors.UsageError(
            f"{parts.netloc!r} is no name of a bucket; write s3://bucket/prefix and name a server in ?endpoint=."
        )
    prefix = urllib.parse.unquote(parts.path.removeprefix("/"))
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    values = _parse_parameters(parts.query)
    return S3Location(
        bucket=parts.netloc,
        prefix=prefix,
        endpoint=_parse_endpoint(values.get("endpoint", "")),
        region=values.get("region", ""),
        ca_file=values.get("ca-file", ""),
        insecure_skip_tls_verify=_parse_boolean(values, "insecure-skip-tls-verify") or False,
        path_style=_parse_boolean(values, "path-style"),
        credentials_file=values.get("credentials-file", ""),
        profile=values.get("profile", ""),
    )


def _parse_parameters(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key not in _PARAMETERS:
            raise errors.UsageError(
                f"A repository URL has no parameter {key[:40]!r}; known are {', '.join(_PARAMETERS)}."
            )
        if key in values:
            raise errors.UsageError(f"The parameter {key} is twice in the repository URL.")
        values[key] = value
    return values


def _parse_endpoint(endpoint: str) -> str:
    if not endpoint:
        return ""
    try:
        parts = urllib.parse.urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    else:
        _refuse_credentials(parts)
        valid = valid and not (parts.path.strip("/") or parts.query or parts.fragment)
    if not valid:
        raise errors.UsageError("The endpoint of a repository URL must be http://host[:port] or https://host[:port].")
    return endpoint.rstrip("/")


def _parse_boolean(values: dict[str, str], key: str) -> bool | None:
    text = values.get(key, "")
    if text and text not in _BOOLEANS:
        raise errors.UsageError(f"The parameter {key} of a repository URL must be true or false.")
    return _BOOLEANS.get(text)

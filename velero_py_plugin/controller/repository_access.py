"""Where a repository is and what opens it, read from a BackupStorageLocation and the Secrets beside it.

Sources: vmware-tanzu/velero v1.18.1 ``pkg/repository/provider/unified_repo.go`` (place),
``pkg/repository/keys/keys.go`` (password), ``pkg/repository/config/aws.go`` (settings used on the repository path: not
those for path style, server-side encryption or tags).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import pathlib
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from velero_py_plugin.api.backup_storage_location import BackupStorageLocation, SecretKey
from velero_py_plugin.api.resource import BACKUP_STORAGE_LOCATION, SECRET
from velero_py_plugin.controller import errors
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import NotFoundError

PASSWORD_SECRET: Final = SecretKey("velero-repo-credentials", "repository-password")
DEFAULT_PASSWORD: Final = "static-passw0rd"  # noqa: S105 - public: what Velero itself uses where no Secret exists
_FILE_SYSTEM_PROVIDER: Final = "velero.io/fs"
_AWS_PROVIDER: Final = "velero.io/aws"


@dataclasses.dataclass(frozen=True)
class RepositoryAccess:
    """Everything a process needs to open one repository.

    Attributes:
        url: Place, without what differs from machine to machine.
        password: Password of the repository.
        ca_certificate: PEM text of the certificates that may sign the store's; empty means the system's.
        credentials: Text of an AWS shared credentials file; empty means the process's own identity.
    """

    url: str
    password: str = dataclasses.field(repr=False)
    ca_certificate: str = ""
    credentials: str = dataclasses.field(default="", repr=False)

    def write(self, directory: pathlib.Path) -> AccessFiles:
        """Writes the secrets to files that only this user can read.

        Args:
            directory: An existing directory of this access alone.
        """
        password_file = directory / "password"
        _write_secret(password_file, self.password)
        files: dict[str, str] = {}
        if self.ca_certificate:
            _write_secret(directory / "ca.pem", self.ca_certificate)
            files["ca-file"] = str(directory / "ca.pem")
        if self.credentials:
            _write_secret(directory / "credentials", self.credentials)
            files["credentials-file"] = str(directory / "credentials")
        separator = "&" if "?" in self.url else "?"
        return AccessFiles(f"{self.url}{separator}{urlencode(files)}" if files else self.url, password_file)


@dataclasses.dataclass(frozen=True)
class AccessFiles:
    """A repository access as a process on this machine is given it.

    Attributes:
        url: Place, and the files with certificates and credentials.
        password_file: File with the password.
    """

    url: str
    password_file: pathlib.Path


def _write_secret(path: pathlib.Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


class AccessReader:
    """Reads locations and Secrets from the API server.

    Args:
        client: The API server.
        namespace: Velero's namespace, where locations and Secrets live.
    """

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def location(self, name: str) -> BackupStorageLocation:
        """Reads a BackupStorageLocation.

        Raises:
            StorageLocationNotFoundError: There is none of that name.
        """
        try:
            resource = self._client.get(BACKUP_STORAGE_LOCATION, name, self._namespace)
        except NotFoundError as error:
            raise errors.StorageLocationNotFoundError(
                f'The BackupStorageLocation "{name}" does not exist in namespace {self._namespace}.'
            ) from error
        return BackupStorageLocation.from_object(resource)

    def access(self, location: BackupStorageLocation, volume_namespace: str) -> RepositoryAccess:
        """Puts together what opens the repository of one namespace in one location.

        Raises:
            StorageLocationInvalidError: The location describes no store this project can use.
            SecretKeyMissingError: A Secret it refers to, or the key in it, does not exist.
        """
        credentials = self._secret(location.credential) if location.credential else ""
        if not credentials and location.config.get("credentialsFile"):
            credentials = _read_file(location.config["credentialsFile"])
        certificate = location.ca_certificate
        if not certificate and location.ca_certificate_secret:
            certificate = self._secret(location.ca_certificate_secret)
        return RepositoryAccess(
            url=repository_url(location, volume_namespace),
            password=self._password(),
            ca_certificate=certificate,
            credentials=credentials,
        )

    def _password(self) -> str:
        try:
            return self._secret(PASSWORD_SECRET).strip()
        except errors.SecretKeyMissingError as error:
            if isinstance(error.__cause__, NotFoundError):
                return DEFAULT_PASSWORD
            raise

    def _secret(self, where: SecretKey) -> str:
        try:
            data = self._client.get(SECRET, where.name, self._namespace).get("data") or {}
        except NotFoundError as error:
            raise errors.SecretKeyMissingError(
                f'The Secret "{where.name}" does not exist in namespace {self._namespace}.'
            ) from error
        try:
            return base64.b64decode(data[where.key], validate=True).decode()
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise errors.SecretKeyMissingError(
                f'The Secret "{where.name}" in namespace {self._namespace} has no text under the key "{where.key}".'
            ) from None


def repository_url(location: BackupStorageLocation, volume_namespace: str) -> str:
    """Names the place of one namespace's repository: ``<prefix>/kopia/<namespace>/`` in the location's store.

    The URL is written as ``velero_py_plugin.kopia.blob.location`` reads it.

    Raises:
        StorageLocationInvalidError: The location describes no store this project can use.
    """
    folder = "/".join(part for part in (location.prefix, "kopia", volume_namespace) if part)
    name = location.meta.name
    if location.provider == _FILE_SYSTEM_PROVIDER:
        root = location.config.get("fspath", "")
        if not root.startswith("/"):
            raise errors.StorageLocationInvalidError(
                f'The BackupStorageLocation "{name}" names no absolute path in config key fspath.'
            )
        return f"file://{quote(root.rstrip('/'))}/{quote(folder)}"
    endpoint = location.config.get("s3Url", "")
    if location.provider != _AWS_PROVIDER and not endpoint:
        raise errors.StorageLocationInvalidError(
            f'The provider {location.provider or "(none)"} of BackupStorageLocation "{name}" is not supported: '
            "use velero.io/aws, or name an S3 endpoint in config key s3Url."
        )
    if not location.bucket:
        raise errors.StorageLocationInvalidError(f'The BackupStorageLocation "{name}" names no bucket.')
    parts = urlsplit(endpoint)
    plain = parts.scheme in ("http", "https") and parts.netloc and "@" not in parts.netloc and parts.path in ("", "/")
    if endpoint and not plain:
        raise errors.StorageLocationInvalidError(
            f'The s3Url of BackupStorageLocation "{name}" must be http(s)://host[:port], without credentials and path.'
        )
    query = {
        "endpoint": f"{parts.scheme}://{parts.netloc}" if endpoint else "",
        "region": location.config.get("region", ""),
        "insecure-skip-tls-verify": "true" if location.config.get("insecureSkipTLSVerify") == "true" else "",
        # Servers other than AWS are addressed by path anyway.
        "path-style": "true" if location.config.get("s3ForcePathStyle") == "true" and not endpoint else "",
        "profile": location.config.get("profile", ""),
    }
    text = urlencode({key: value for key, value in query.items() if value})
    return f"s3://{quote(location.bucket, safe='')}/{quote(folder)}/{'?' if text else ''}{text}"


def _read_file(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.StorageLocationInvalidError(f"The credentials file {path} cannot be read: {error}") from error

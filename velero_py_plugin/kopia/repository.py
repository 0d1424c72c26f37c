"""Creates, opens and closes repositories: wires the layers below.

Creation follows Velero (vmware-tanzu/velero v1.18.1 ``pkg/repository/udmrepo/kopialib/lib_repo.go``, ``repo_init.go``):
kopia's defaults, identity ``default@default``, maintenance parameters owned by it, and Velero's own marker blob last,
without which Velero >= 1.18 takes the repository for half initialised.
"""

from __future__ import annotations

import base64
import datetime
import time
from collections.abc import Callable
from typing import Final, Self

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import location
from velero_py_plugin.kopia.blob import storage as blob_storage
from velero_py_plugin.kopia.codec import go_json, splitter
from velero_py_plugin.kopia.content import content_manager
from velero_py_plugin.kopia.format import format_blob
from velero_py_plugin.kopia.format.parameters import FormatParameters
from velero_py_plugin.kopia.manifest import manifest_manager
from velero_py_plugin.kopia.object import object_manager

USERNAME: Final = "default"
HOSTNAME: Final = "default"
VELERO_MARKER_BLOB: Final = "udmrepo.Repository"
_HOUR: Final = 3_600_000_000_000


class Repository:
    """An open repository.

    Attributes:
        contents: Deduplicated chunks.
        objects: Streams of chunks.
        manifests: Labelled documents.

    Args:
        storage: Where its blobs are; closed with the repository.
        repository_format: The opened format blob.
        now_ns: The clock, nanoseconds since 1970.
    """

    def __init__(
        self,
        storage: blob_storage.Storage,
        repository_format: format_blob.Format,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.storage = storage
        self.format = repository_format
        self.now_ns = now_ns
        self.contents = content_manager.ContentManager(
            storage,
            repository_format,
            username=USERNAME,
            hostname=HOSTNAME,
            now=lambda: datetime.datetime.fromtimestamp(now_ns() / 1e9, datetime.UTC),
        )
        self.objects = object_manager.ObjectManager(
            self.contents, splitter.splitter(repository_format.parameters.splitter)
        )
        self.manifests = manifest_manager.ManifestManager(self.contents, now_ns)

    def flush(self) -> None:
        """Makes everything written so far durable and visible to other clients."""
        self.manifests.flush()
        self.contents.flush()

    def refresh(self) -> None:
        """Makes visible what other clients have committed."""
        self.contents.refresh()
        self.manifests.refresh()

    def close(self) -> None:
        """Releases threads and connections; what was not flushed is given up."""
        self.contents.close()
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_repository(storage: blob_storage.Storage, password: str) -> Repository:
    """Creates a repository with the settings Velero uses and opens it.

    Args:
        storage: An empty place.
        password: The repository password; whoever loses it loses the data.

    Raises:
        RepositoryExistsError: The place is not empty.
    """
    for blob in storage.list():
        raise errors.RepositoryExistsError(
            f"a repository can only be created in an empty place, and {storage.display_name} holds {blob.blob_id}"
        )
    repository = Repository(storage, format_blob.create(storage, password, FormatParameters()))
    _initialise_for_velero(repository)
    return repository


def open_repository(storage: blob_storage.Storage, password: str) -> Repository:
    """Opens an existing repository.

    Raises:
        RepositoryNotFoundError: There is none.
        WrongPasswordError: The password does not open it.
        CorruptRepositoryError: It is damaged.
        UnsupportedFormatError: This library cannot use it.
        RepositoryLockedError: It is being upgraded.
        StorageError, StorageUnavailableError: The store refuses or fails.
    """
    return Repository(storage, format_blob.load(storage, password, datetime.datetime.now(datetime.UTC)))


def prepare_repository(url: str, password: str) -> str:
    """Makes sure that a repository is there and ready for Velero: creates it in an empty place, checks it elsewhere.

    Args:
        url: Where it is, see ``kopia.blob.location``.
        password: The repository password.

    Returns:
        The repository's unique id in base64.

    Raises:
        RepositoryError: It can neither be created nor opened.
        StorageUnavailableError: The store fails for now.
    """
    storage = location.open_storage(url, create=True)
    try:
        try:
            repository = open_repository(storage, password)
        except errors.RepositoryNotFoundError:
            repository = create_repository(storage, password)
        with repository:
            _initialise_for_velero(repository)
            return base64.b64encode(repository.format.unique_id).decode()
    finally:
        storage.close()


def _initialise_for_velero(repository: Repository) -> None:
    """Writes maintenance parameters and Velero's marker where they are missing."""
    if not repository.manifests.find({"type": "maintenance"}):
        repository.manifests.put({"type": "maintenance"}, _maintenance_parameters())
        repository.flush()
    unique_id = base64.b64encode(repository.format.unique_id).decode()
    marker = go_json.dumps({"uniqueID": unique_id})
    try:
        found = go_json.loads(repository.storage.get(VELERO_MARKER_BLOB), VELERO_MARKER_BLOB)
    except errors.BlobMissingError:
        repository.storage.put(VELERO_MARKER_BLOB, marker)
        return
    if not isinstance(found, dict) or found.get("uniqueID") != unique_id:
        raise errors.CorruptRepositoryError(
            f"{VELERO_MARKER_BLOB} in {repository.storage.display_name} belongs to another repository"
        )


def _maintenance_parameters() -> dict[str, object]:
    """Kopia's defaults (v0.23.1 ``repo/maintenance/maintenance_params.go``), owned by Velero's identity."""
    return {
        "owner": f"{USERNAME}@{HOSTNAME}",
        "quick": {"enabled": True, "interval": _HOUR},
        "full": {"enabled": True, "interval": 24 * _HOUR},
        "logRetention": {"maxTotalSize": 1 << 30, "maxCount": 10000, "maxAge": 720 * _HOUR},
        "extendObjectLocks": False,
        "listParallelism": 0,
    }

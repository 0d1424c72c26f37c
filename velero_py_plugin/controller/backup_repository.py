"""BackupRepositories: creates, checks and publishes the repository of each namespace and location.

The repository is made before its object, and the object is born ``Ready`` or ``NotReady``: Velero's own server
initialises every *new* object it sees, and two processes that create one repository at the same moment can destroy it.
For the same reason a new object that somebody else made is left alone for a while.
"""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from velero_py_plugin import errors as root_errors
from velero_py_plugin.api.backup_repository import (
    NEW,
    NOT_READY,
    READY,
    BackupRepository,
    build_backup_repository,
    repository_labels,
    repository_name,
)
from velero_py_plugin.api.backup_storage_location import BackupStorageLocation
from velero_py_plugin.api.duration import format_duration
from velero_py_plugin.api.object_meta import format_time
from velero_py_plugin.api.resource import BACKUP_REPOSITORY
from velero_py_plugin.controller.errors import RepositoryAmbiguousError
from velero_py_plugin.controller.phase_machine import Failure, Readiness, Ready, Waiting
from velero_py_plugin.controller.repository_access import (
    AccessReader,
    RepositoryAccess,
    repository_url,
)
from velero_py_plugin.controller.settings import Settings
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import AlreadyExistsError, ConflictError

logger = logging.getLogger(__name__)

PrepareRepository: TypeAlias = Callable[[str, str], str]
"""Creates the repository at a URL with a password where there is nothing, checks it otherwise; returns its id.

Raises the temporary and permanent errors of :mod:`velero_py_plugin.errors`.
"""

_UNSET_FREQUENCIES: Final = ("", "0", "0s")
_VERIFIED_FOR: Final = 300.0
"""Seconds for which a repository that was found in order counts as such for new requests."""


@dataclasses.dataclass(frozen=True)
class RepositoryKey:
    """What one repository is for.

    Attributes:
        volume_namespace: Namespace whose volumes it holds.
        location: Name of the BackupStorageLocation.
    """

    volume_namespace: str
    location: str

    def __str__(self) -> str:
        return repository_name(self.volume_namespace, self.location)


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """How the last preparation ended: when, of which place, and with which error if any."""

    at: float
    url: str
    error: root_errors.Error | None


class BackupRepositoryReconciler:
    """Keeps repositories usable and their objects true.

    Args:
        client: The API server.
        namespace: Velero's namespace.
        prepare: Creates or checks a repository.
        settings: Settings.
        wake: Asks for a look at a key.
    """

    def __init__(
        self,
        *,
        client: KubeClient,
        namespace: str,
        prepare: PrepareRepository,
        settings: Settings,
        wake: Callable[[RepositoryKey], None],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._reader = AccessReader(client, namespace)
        self._prepare = prepare
        self._settings = settings
        self._wake = wake
        self._lock = threading.Lock()
        self._outcomes: dict[RepositoryKey, _Outcome] = {}
        self._wanted: dict[RepositoryKey, dict[str, Callable[[], None]]] = {}

    def require(
        self,
        volume_namespace: str,
        location: BackupStorageLocation,
        *,
        since: float,
        who: str,
        wake: Callable[[], None],
    ) -> Readiness:
        """Tells whether a repository can be used, and has it prepared where that is not known.

        Args:
            volume_namespace: Namespace whose volumes it holds.
            location: Where it is.
            since: An older failure does not count: what caused it may have been mended.
            who: Name of the request that asks.
            wake: Called when the answer has changed.
        """
        key = RepositoryKey(volume_namespace, location.meta.name)
        url = repository_url(location, volume_namespace)
        with self._lock:
            outcome = self._outcomes.get(key)
            if outcome and outcome.url not in ("", url):
                outcome = None
            if outcome and outcome.error is None and outcome.at >= since - _VERIFIED_FOR:
                return Ready()
            if outcome and isinstance(outcome.error, root_errors.PermanentError) and outcome.at >= since:
                return Failure(outcome.error.reason, str(outcome.error))
            wanted = self._wanted.setdefault(key, {})
            is_new = who not in wanted
            wanted[who] = wake
        if is_new:
            self._wake(key)
        if outcome and isinstance(outcome.error, root_errors.TemporaryError):
            return Waiting(outcome.error.reason, str(outcome.error))
        return Waiting("RepositoryNotReady", f"the repository {key} is being prepared.")

    def reconcile(self, key: RepositoryKey) -> float | None:
        """Looks at one repository.

        Returns:
            After how many seconds to look again, or ``None``.

        Raises:
            velero_py_plugin.errors.TemporaryError: The store or the API server does not answer now.
        """
        url = ""
        repository: BackupRepository | None = None
        failure: root_errors.PermanentError | None = None
        try:
            repository = self._find(key)
            if not self._needs_preparation(key, repository):
                return None
            if repository and repository.phase == NEW:
                grace = (repository.meta.created or 0.0) + self._settings.repository_grace - time.time()
                if grace > 0:
                    return min(grace, self._settings.wait_interval)
            location = self._reader.location(key.location)
            url = repository_url(location, key.volume_namespace)
            self._open(self._reader.access(location, key.volume_namespace))
        except RepositoryAmbiguousError as error:
            self._remember(key, url, error)
            return None
        except root_errors.TemporaryError as error:
            self._remember(key, url, error)
            raise
        except root_errors.PermanentError as error:
            logger.warning("BackupRepository %s: %s: %s", key, error.reason, error)
            failure = error
        self._publish(key, repository, failure)
        self._remember(key, url, failure)
        return None

    def _needs_preparation(self, key: RepositoryKey, repository: BackupRepository | None) -> bool:
        with self._lock:
            if key in self._wanted:
                return True
            outcome = self._outcomes.get(key)
        if repository is None or repository.phase == READY:
            return False
        # Publishing a failure is itself a change of the object; the store is not asked again because of that.
        return outcome is None or time.time() >= outcome.at + self._settings.resync_interval

    def _find(self, key: RepositoryKey) -> BackupRepository | None:
        labels = repository_labels(key.volume_namespace, key.location)
        found = self._client.list(
            BACKUP_REPOSITORY,
            self._namespace,
            label_selector=",".join(f"{name}={value}" for name, value in labels.items()),
        )
        if len(found) > 1:
            names = ", ".join(sorted(resource["metadata"]["name"] for resource in found))
            raise RepositoryAmbiguousError(
                f'The BackupRepositories {names} are all for namespace "{key.volume_namespace}" '
                f'in location "{key.location}": delete all but one.'
            )
        return BackupRepository.from_object(found[0]) if found else None

    def _open(self, access: RepositoryAccess) -> None:
        with tempfile.TemporaryDirectory(prefix="velero-py-repository-") as directory:
            files = access.write(pathlib.Path(directory))
            self._prepare(files.url, access.password)

    def _publish(
        self, key: RepositoryKey, repository: BackupRepository | None, failure: root_errors.PermanentError | None
    ) -> None:
        status: dict[str, Any] = {"phase": NOT_READY if failure else READY}
        if failure:
            status["message"] = f"{failure.reason}: {failure}"
        elif repository is None or not repository.last_maintenance_time:
            # The first maintenance is due one interval after initialisation, not at once.
            status["lastMaintenanceTime"] = format_time(time.time())
        frequency = format_duration(self._settings.maintenance_frequency)
        if repository is None:
            body = build_backup_repository(
                namespace=self._namespace,
                volume_namespace=key.volume_namespace,
                backup_storage_location=key.location,
                maintenance_frequency=frequency,
            )
            try:
                self._client.create(BACKUP_REPOSITORY, {**body, "status": status}, self._namespace)
            except AlreadyExistsError as error:
                raise ConflictError(str(error)) from error
            logger.info("BackupRepository %s: created, %s", key, status["phase"])
            return
        if not failure and repository.message:
            status["message"] = None
        if (repository.phase, repository.message) == (status["phase"], status.get("message") or ""):
            return
        patch: dict[str, Any] = {"metadata": {"resourceVersion": repository.meta.resource_version}, "status": status}
        if not failure and repository.maintenance_frequency in _UNSET_FREQUENCIES:
            patch["spec"] = {"maintenanceFrequency": frequency}
        self._client.merge_patch(BACKUP_REPOSITORY, repository.meta.name, patch, self._namespace)
        logger.info("BackupRepository %s: %s", repository.meta.name, status["phase"])

    def _remember(self, key: RepositoryKey, url: str, error: root_errors.Error | None) -> None:
        with self._lock:
            self._outcomes[key] = _Outcome(at=time.time(), url=url, error=error)
            if isinstance(error, root_errors.TemporaryError):
                return  # still wanted; the work queue tries again
            wakes = self._wanted.pop(key, {})
        for wake in wakes.values():
            wake()

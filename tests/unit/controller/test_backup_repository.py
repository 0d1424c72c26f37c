"""BackupRepositories: what is published about a repository, and when it is prepared."""

from __future__ import annotations

import base64
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.controller.environment import NAMESPACE_OF_VELERO, SETTINGS, Environment
from velero_py_plugin import errors
from velero_py_plugin.api.backup_repository import build_backup_repository
from velero_py_plugin.api.backup_storage_location import BackupStorageLocation
from velero_py_plugin.api.object_meta import parse_time
from velero_py_plugin.api.resource import BACKUP_REPOSITORY, BACKUP_STORAGE_LOCATION, SECRET
from velero_py_plugin.controller.backup_repository import BackupRepositoryReconciler, RepositoryKey
from velero_py_plugin.controller.phase_machine import Failure, Readiness, Ready, Waiting
from velero_py_plugin.kube.errors import ApiUnavailableError, ConflictError

KEY = RepositoryKey("app", "default")


class RefusedError(errors.PermanentError):
    reason = "StorageRefused"


class AwayError(errors.TemporaryError):
    reason = "StorageUnavailable"


class Repositories:
    """A reconciler whose repository library answers what the test says."""

    def __init__(self, environment: Environment, **settings: Any) -> None:
        self.environment = environment
        self.answer: errors.Error | None = None
        self.look: Callable[[], None] = lambda: None
        self.calls: list[tuple[str, str]] = []
        self.woken: list[str] = []
        self.queued: list[RepositoryKey] = []
        self.reconciler = BackupRepositoryReconciler(
            client=environment.kube,
            namespace=NAMESPACE_OF_VELERO,
            prepare=self.prepare,
            settings=dataclasses.replace(SETTINGS, **settings),
            wake=self.queued.append,
        )

    def prepare(self, url: str, password: str) -> str:
        self.calls.append((url, password))
        self.look()
        if self.answer:
            raise self.answer
        return "id"

    def require(self, who: str = "upload", since: float | None = None) -> Readiness:
        resource = self.environment.kube.get(BACKUP_STORAGE_LOCATION, "default", NAMESPACE_OF_VELERO)
        location = BackupStorageLocation.from_object(resource)
        since = time.time() if since is None else since
        return self.reconciler.require("app", location, since=since, who=who, wake=lambda: self.woken.append(who))

    def published(self) -> dict[str, Any]:
        (repository,) = self.environment.repositories()
        return repository


@pytest.fixture
def repositories(environment: Environment) -> Repositories:
    return Repositories(environment)


def make_repository(environment: Environment, **status: Any) -> None:
    body = build_backup_repository(
        namespace=NAMESPACE_OF_VELERO,
        volume_namespace="app",
        backup_storage_location="default",
        maintenance_frequency="0s",
    )
    environment.kube.create(BACKUP_REPOSITORY, {**body, "status": status} if status else body, NAMESPACE_OF_VELERO)


def test_is_prepared_before_it_is_published(environment: Environment, repositories: Repositories) -> None:
    def nothing_published() -> None:
        assert environment.repositories() == []

    repositories.look = nothing_published
    assert isinstance(repositories.require(), Waiting)
    assert repositories.queued == [KEY]
    assert repositories.reconciler.reconcile(KEY) is None
    assert repositories.woken == ["upload"]
    assert repositories.require() == Ready()
    published = repositories.published()
    assert published["metadata"]["name"] == "app-default-kopia"
    assert published["metadata"]["labels"] == {
        "velero.io/volume-namespace": "app",
        "velero.io/storage-location": "default",
        "velero.io/repository-type": "kopia",
    }
    assert published["spec"]["repositoryType"] == "kopia"
    assert published["spec"]["maintenanceFrequency"] == "1h0m0s"
    assert published["status"]["phase"] == "Ready"
    assert parse_time(published["status"]["lastMaintenanceTime"]) is not None
    assert len(repositories.calls) == 1


def test_many_requests_cost_one_preparation(repositories: Repositories) -> None:
    for who in ("one", "two", "three"):
        repositories.require(who)
    repositories.reconciler.reconcile(KEY)
    repositories.reconciler.reconcile(KEY)
    assert len(repositories.calls) == 1
    assert repositories.woken == ["one", "two", "three"]


def test_nobody_asks_nothing_happens(environment: Environment, repositories: Repositories) -> None:
    assert repositories.reconciler.reconcile(KEY) is None
    assert repositories.calls == []
    assert environment.repositories() == []


def test_a_permanent_failure_is_published_and_told(repositories: Repositories) -> None:
    repositories.answer = RefusedError("there is no bucket.")
    since = time.time()
    repositories.require(since=since)
    assert repositories.reconciler.reconcile(KEY) is None
    assert repositories.woken == ["upload"]
    assert repositories.published()["status"] == {
        "phase": "NotReady",
        "message": "StorageRefused: there is no bucket.",
    }
    assert repositories.require(since=since) == Failure("StorageRefused", "there is no bucket.")


def test_an_old_failure_does_not_count_for_a_new_request(repositories: Repositories) -> None:
    repositories.answer = RefusedError("there is no bucket.")
    repositories.require()
    repositories.reconciler.reconcile(KEY)
    repositories.answer = None
    later = time.time() + 1
    assert isinstance(repositories.require(since=later), Waiting)
    repositories.reconciler.reconcile(KEY)
    assert repositories.require(since=later) == Ready()
    status = repositories.published()["status"]
    assert status["phase"] == "Ready"
    assert "message" not in status
    assert parse_time(status["lastMaintenanceTime"]) is not None


def test_a_passing_failure_is_told_and_tried_again(environment: Environment, repositories: Repositories) -> None:
    repositories.answer = AwayError("no answer.")
    repositories.require()
    with pytest.raises(AwayError):
        repositories.reconciler.reconcile(KEY)
    assert environment.repositories() == []
    assert repositories.require() == Waiting("StorageUnavailable", "no answer.")
    assert repositories.queued == [KEY]
    repositories.answer = None
    repositories.reconciler.reconcile(KEY)
    assert repositories.require() == Ready()


def test_a_repository_that_was_in_order_long_ago_is_looked_at_again(repositories: Repositories) -> None:
    repositories.require()
    repositories.reconciler.reconcile(KEY)
    in_an_hour = time.time() + 3600
    assert isinstance(repositories.require(since=in_an_hour), Waiting)
    repositories.reconciler.reconcile(KEY)
    assert len(repositories.calls) == 2


def test_a_location_that_moves_is_prepared_again(environment: Environment, repositories: Repositories) -> None:
    repositories.require()
    repositories.reconciler.reconcile(KEY)
    moved = {"spec": {"objectStorage": {"bucket": "other"}}}
    environment.kube.merge_patch(BACKUP_STORAGE_LOCATION, "default", moved, NAMESPACE_OF_VELERO)
    assert isinstance(repositories.require(), Waiting)
    repositories.reconciler.reconcile(KEY)
    assert [urlsplit(url).netloc for url, _ in repositories.calls] == ["backups", "other"]


def test_a_location_that_does_not_exist(environment: Environment, repositories: Repositories) -> None:
    repositories.require()
    environment.kube.delete(BACKUP_STORAGE_LOCATION, "default", NAMESPACE_OF_VELERO)
    assert repositories.reconciler.reconcile(KEY) is None
    assert repositories.published()["status"]["message"].startswith("StorageLocationNotFound: ")


def test_a_new_object_of_somebody_else_is_left_to_velero_for_a_while(environment: Environment) -> None:
    repositories = Repositories(environment, repository_grace=3600.0)
    make_repository(environment)
    assert repositories.reconciler.reconcile(KEY) == SETTINGS.wait_interval
    assert repositories.calls == []
    assert "status" not in repositories.published()


def test_a_new_object_that_nobody_prepares_is_prepared(environment: Environment, repositories: Repositories) -> None:
    make_repository(environment)
    assert repositories.reconciler.reconcile(KEY) is None
    published = repositories.published()
    assert published["status"]["phase"] == "Ready"
    assert published["spec"]["maintenanceFrequency"] == "1h0m0s"


def test_a_ready_object_is_verified_once_and_not_rewritten(
    environment: Environment, repositories: Repositories
) -> None:
    make_repository(environment, phase="Ready", lastMaintenanceTime="2026-01-01T00:00:00Z")
    before = repositories.published()
    assert repositories.reconciler.reconcile(KEY) is None
    assert repositories.calls == []
    repositories.require()
    repositories.reconciler.reconcile(KEY)
    assert repositories.require() == Ready()
    assert repositories.published() == before


def test_an_object_that_is_not_ready_recovers(environment: Environment, repositories: Repositories) -> None:
    make_repository(environment, phase="NotReady", message="StorageRefused: no bucket.")
    repositories.answer = RefusedError("still no bucket.")
    repositories.reconciler.reconcile(KEY)
    assert repositories.published()["status"]["message"] == "StorageRefused: still no bucket."
    repositories.reconciler.reconcile(KEY)
    assert len(repositories.calls) == 1, "publishing a failure must not cause the next try"
    eager = Repositories(environment, resync_interval=0)
    eager.reconciler.reconcile(KEY)
    assert repositories.published()["status"]["phase"] == "Ready"


def test_two_objects_for_one_repository(environment: Environment, repositories: Repositories) -> None:
    make_repository(environment)
    body = environment.repositories()[0]
    twin = {"metadata": {"name": "app-default-kopia-x7k2p", "labels": body["metadata"]["labels"]}, "spec": body["spec"]}
    environment.kube.create(BACKUP_REPOSITORY, twin, NAMESPACE_OF_VELERO)
    repositories.require()
    assert repositories.reconciler.reconcile(KEY) is None
    answer = repositories.require(since=0.0)
    assert isinstance(answer, Failure)
    assert answer.reason == "RepositoryAmbiguous"
    assert "app-default-kopia, app-default-kopia-x7k2p" in answer.message
    assert repositories.calls == []


def test_somebody_creates_the_object_meanwhile(environment: Environment, repositories: Repositories) -> None:
    repositories.look = lambda: make_repository(environment, phase="Ready")
    repositories.require()
    with pytest.raises(ConflictError):
        repositories.reconciler.reconcile(KEY)
    repositories.look = lambda: None
    repositories.reconciler.reconcile(KEY)
    assert repositories.require() == Ready()


def test_an_outage_of_the_api(environment: Environment, repositories: Repositories) -> None:
    repositories.require()
    environment.api.fail_next("POST", "/backuprepositories", 503)
    with pytest.raises(ApiUnavailableError):
        repositories.reconciler.reconcile(KEY)
    repositories.reconciler.reconcile(KEY)
    assert repositories.require() == Ready()


def test_the_library_finds_credentials_and_certificates(environment: Environment, repositories: Repositories) -> None:
    seen: dict[str, str] = {}

    def look() -> None:
        query = parse_qs(urlsplit(repositories.calls[0][0]).query)
        (credentials_file,), (ca_file,) = query["credentials-file"], query["ca-file"]
        seen["credentials"] = Path(credentials_file).read_text()
        seen["ca"] = Path(ca_file).read_text()
        seen["directory"] = os.path.dirname(ca_file)

    encoded = base64.b64encode(b"[default]\n").decode()
    environment.kube.create(SECRET, {"metadata": {"name": "cloud"}, "data": {"key": encoded}}, NAMESPACE_OF_VELERO)
    patch = {
        "spec": {
            "credential": {"name": "cloud", "key": "key"},
            "objectStorage": {"caCert": base64.b64encode(b"PEM").decode()},
        }
    }
    environment.kube.merge_patch(BACKUP_STORAGE_LOCATION, "default", patch, NAMESPACE_OF_VELERO)
    repositories.look = look
    repositories.require()
    repositories.reconciler.reconcile(KEY)
    assert (seen["credentials"], seen["ca"]) == ("[default]\n", "PEM")
    assert not os.path.exists(seen["directory"])

"""DataUpload, DataDownload, BackupRepository and BackupStorageLocation as they are read and built."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from velero_py_plugin.api.backup_repository import (
    BackupRepository,
    build_backup_repository,
    repository_labels,
    repository_name,
)
from velero_py_plugin.api.backup_storage_location import BackupStorageLocation, SecretKey
from velero_py_plugin.api.data_download import DataDownload
from velero_py_plugin.api.data_upload import CsiSnapshot, DataUpload
from velero_py_plugin.api.movement import MovementStatus
from velero_py_plugin.api.object_meta import ObjectMeta
from velero_py_plugin.api.phase import Phase

META: dict[str, Any] = {"name": "x", "namespace": "velero", "labels": {"velero.io/async-operation-id": "du-1"}}
STATUS: dict[str, Any] = {
    "phase": "InProgress",
    "message": "why",
    "acceptedTimestamp": "2026-01-01T00:00:00Z",
    "startTimestamp": "2026-01-01T00:00:01Z",
    "completionTimestamp": "2026-01-01T00:00:02Z",
    "progress": {"bytesDone": 1, "totalBytes": 2},
}
START = 1767225600.0


def test_data_upload() -> None:
    upload = DataUpload.from_object(
        {
            "metadata": META,
            "spec": {
                "snapshotType": "CSI",
                "csiSnapshot": {"volumeSnapshot": "vs", "storageClass": "sc", "snapshotClass": "vsc", "driver": "d"},
                "sourcePVC": "data",
                "sourceNamespace": "app",
                "datamover": "m",
                "backupStorageLocation": "default",
                "dataMoverConfig": {"ParallelFilesUpload": "8"},
                "cancel": True,
                "operationTimeout": "10m0s",
            },
            "status": STATUS,
        }
    )
    assert upload.csi_snapshot == CsiSnapshot("vs", "sc", "vsc", "d")
    assert (upload.source_namespace, upload.source_pvc) == ("app", "data")
    assert (upload.datamover, upload.backup_storage_location) == ("m", "default")
    assert (upload.config, upload.cancel, upload.operation_timeout) == ({"ParallelFilesUpload": "8"}, True, "10m0s")
    assert upload.operation_id == "du-1"
    assert upload.status == MovementStatus(Phase.IN_PROGRESS, "why", START, START + 1, START + 2, 1, 2)


def test_data_download() -> None:
    download = DataDownload.from_object(
        {
            "metadata": META,
            "spec": {
                "targetVolume": {"pvc": "data", "pv": "", "namespace": "new-app"},
                "backupStorageLocation": "default",
                "datamover": "m",
                "snapshotID": "m1",
                "sourceNamespace": "app",
                "dataMoverConfig": {"WriteSparseFiles": "true"},
                "cancel": True,
                "operationTimeout": "10m0s",
                "snapshotSize": 7,
            },
            "status": STATUS,
        }
    )
    assert (download.target_namespace, download.target_pvc) == ("new-app", "data")
    assert (download.source_namespace, download.snapshot_id, download.snapshot_size) == ("app", "m1", 7)
    assert download.write_sparse_files
    assert download.cancel
    assert download.status.phase is Phase.IN_PROGRESS


@pytest.mark.parametrize("resource", [{}, {"spec": None, "status": None}, {"spec": {}, "status": {"progress": None}}])
def test_what_is_absent_keeps_its_default(resource: dict[str, Any]) -> None:
    assert DataUpload.from_object(resource) == DataUpload(ObjectMeta(), MovementStatus())
    assert DataDownload.from_object(resource) == DataDownload(ObjectMeta(), MovementStatus())
    assert BackupRepository.from_object(resource) == BackupRepository(ObjectMeta())
    assert BackupStorageLocation.from_object(resource) == BackupStorageLocation(ObjectMeta())


@pytest.mark.parametrize(("value", "sparse"), [("true", True), ("false", False), ("True", False), (None, False)])
def test_write_sparse_files(value: str | None, *, sparse: bool) -> None:
    config = {"WriteSparseFiles": value} if value else None
    assert DataDownload.from_object({"spec": {"dataMoverConfig": config}}).write_sparse_files == sparse


def test_the_name_of_a_repository_is_the_same_for_everyone() -> None:
    body = build_backup_repository(
        namespace="velero", volume_namespace="app", backup_storage_location="default", maintenance_frequency="1h0m0s"
    )
    assert body["metadata"]["name"] == repository_name("app", "default") == "app-default-kopia"
    repository = BackupRepository.from_object(body)
    assert (repository.volume_namespace, repository.backup_storage_location) == ("app", "default")
    assert (repository.repository_type, repository.maintenance_frequency) == ("kopia", "1h0m0s")
    assert repository.phase == "New"


def test_the_labels_of_a_repository_are_shortened_as_velero_does() -> None:
    labels = repository_labels("n" * 64, "default")
    assert labels["velero.io/volume-namespace"] == "n" * 57 + "ce068a"
    assert labels["velero.io/storage-location"] == "default"


def test_backup_storage_location() -> None:
    location = BackupStorageLocation.from_object(
        {
            "metadata": {"name": "default"},
            "spec": {
                "provider": "aws",
                "objectStorage": {
                    "bucket": "b",
                    "prefix": "/p/",
                    "caCert": base64.b64encode(b"PEM").decode(),
                    "caCertRef": {"name": "ca", "key": "pem"},
                },
                "config": {"bucket": "ignored", "region": "r"},
                "credential": {"name": "cloud", "key": "key"},
                "accessMode": "ReadOnly",
            },
        }
    )
    assert (location.provider, location.bucket, location.prefix) == ("velero.io/aws", "b", "p")
    assert (location.ca_certificate, location.ca_certificate_secret) == ("PEM", SecretKey("ca", "pem"))
    assert location.credential == SecretKey("cloud", "key")
    assert location.access_mode == "ReadOnly"


@pytest.mark.parametrize("text", ["%%%", "/w==", None])
def test_a_certificate_that_is_no_text_counts_as_none(text: str | None) -> None:
    spec = {"objectStorage": {"bucket": "b", "caCert": text}}
    assert BackupStorageLocation.from_object({"spec": spec}).ca_certificate == ""


def test_a_selector_that_names_nothing() -> None:
    assert SecretKey.from_object(None) is None
    assert SecretKey.from_object({"key": "k"}) is None
    assert SecretKey.from_object({"name": "n"}) == SecretKey("n", "")

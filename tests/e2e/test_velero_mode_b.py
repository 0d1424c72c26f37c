"""Our actions on a plain CSI backup of the real Velero: the local snapshot stays, and a durable copy is made."""

from __future__ import annotations

from tests.support.velero_application import Application, is_gone
from tests.support.velero_server import VELERO_NAMESPACE, VeleroServer, ends_well, wait_until
from velero_py_plugin.api.names import MOVER_NAME
from velero_py_plugin.api.resource import (
    BACKUP,
    DATA_UPLOAD,
    PVC,
    RESTORE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
)
from velero_py_plugin.kopia.repository import prepare_repository


def test_a_destroyed_application_comes_back_as_it_was(velero_server: VeleroServer, application: Application) -> None:
    log_start = velero_server.log_position()
    name = f"{application.namespace}-nightly"

    backup = velero_server.back_up(name, application.namespace)

    assert ends_well(backup)
    [upload] = velero_server.uploads(name)
    assert upload["status"]["phase"] == "Completed"
    [stored] = velero_server.stored_objects(name, DATA_UPLOAD)
    assert stored["status"] == upload["status"]
    [stored_content] = velero_server.stored_objects(name, VOLUME_SNAPSHOT_CONTENT)
    wait_until(lambda: not snapshots_of(velero_server, application.namespace), "Velero's snapshot objects gone")
    assert velero_server.csi.path_of_snapshot(stored_content["status"]["snapshotHandle"]).is_dir()
    description = velero_server.velero("backup", "describe", name, "--details")
    assert "Data Movement:" in description
    assert f"Data Mover: {MOVER_NAME}" in description

    application.destroy()
    restore = velero_server.restore(f"{name}-restore", name)

    assert ends_well(restore)
    [download] = velero_server.downloads(f"{name}-restore")
    assert download["status"]["phase"] == "Completed"
    assert download["spec"]["snapshotID"] == upload["status"]["snapshotID"]
    assert application.differences() == []
    assert velero_server.complaints(log_start) == []


def test_an_unchanged_volume_is_not_read_again(velero_server: VeleroServer, application: Application) -> None:
    for day in ("monday", "tuesday"):
        assert ends_well(velero_server.back_up(f"{application.namespace}-{day}", application.namespace))

    [monday] = velero_server.uploads(f"{application.namespace}-monday")
    [tuesday] = velero_server.uploads(f"{application.namespace}-tuesday")
    assert monday["status"]["incrementalBytes"] == monday["status"]["progress"]["totalBytes"] > 0
    assert tuesday["status"]["incrementalBytes"] == 0
    assert tuesday["status"]["progress"] == monday["status"]["progress"]
    assert tuesday["status"]["snapshotID"] != monday["status"]["snapshotID"]


def test_after_a_failed_upload_the_local_snapshot_is_restored(
    velero_server: VeleroServer, application: Application
) -> None:
    name = f"{application.namespace}-nightly"
    prepare_repository(velero_server.repository_url(application.namespace), "not the password in the Secret")

    backup = velero_server.back_up(name, application.namespace)

    assert (backup["status"]["phase"], backup["status"]["errors"]) == ("PartiallyFailed", 1)
    [upload] = velero_server.uploads(name)
    assert upload["status"]["phase"] == "Failed"
    assert upload["status"]["message"].startswith("RepositoryWrongPassword: ")
    assert upload["status"]["message"] in velero_server.velero("backup", "describe", name, "--details")

    application.delete_claim()
    restore = velero_server.restore(f"{name}-restore", name)

    assert ends_well(restore)
    assert velero_server.downloads(f"{name}-restore") == []
    claim = velero_server.kube.get(PVC, "data", application.namespace)
    assert claim["spec"]["dataSource"]["kind"] == VOLUME_SNAPSHOT.kind
    assert application.differences() == []


def test_a_restore_can_go_into_another_namespace(velero_server: VeleroServer, application: Application) -> None:
    log_start = velero_server.log_position()
    name, copy = f"{application.namespace}-nightly", f"{application.namespace}-copy"
    assert ends_well(velero_server.back_up(name, application.namespace))

    restore = velero_server.restore(copy, name, "--namespace-mappings", f"{application.namespace}:{copy}")

    assert ends_well(restore)
    assert application.differences(copy) == []
    assert application.volume(namespace=copy) != application.volume()

    velero_server.velero("restore", "delete", copy, "--confirm")
    wait_until(lambda: is_gone(lambda: velero_server.kube.get(RESTORE, copy, VELERO_NAMESPACE)), "the Restore gone")
    wait_until(lambda: not velero_server.downloads(copy), "its DataDownload gone")
    assert application.differences(copy) == []
    assert velero_server.complaints(log_start) == []


def test_a_deleted_backup_leaves_no_objects_behind(velero_server: VeleroServer, application: Application) -> None:
    log_start = velero_server.log_position()
    name = f"{application.namespace}-nightly"
    assert ends_well(velero_server.back_up(name, application.namespace))
    [content] = velero_server.stored_objects(name, VOLUME_SNAPSHOT_CONTENT)
    snapshot = velero_server.csi.path_of_snapshot(content["status"]["snapshotHandle"])
    assert snapshot.exists()

    velero_server.velero("backup", "delete", name, "--confirm")

    wait_until(lambda: is_gone(lambda: velero_server.kube.get(BACKUP, name, VELERO_NAMESPACE)), "the Backup gone")
    wait_until(lambda: not velero_server.uploads(name), "its DataUpload gone")
    wait_until(lambda: not snapshot.exists(), "the storage's snapshot gone")
    assert velero_server.stored_keys(name) == []
    assert velero_server.complaints(log_start) == []


def snapshots_of(server: VeleroServer, namespace: str) -> list[str]:
    """The names of a namespace's VolumeSnapshots and their contents."""
    contents = [
        item
        for item in server.kube.list(VOLUME_SNAPSHOT_CONTENT)
        if item["spec"]["volumeSnapshotRef"]["namespace"] == namespace
    ]
    return [item["metadata"]["name"] for item in (*server.kube.list(VOLUME_SNAPSHOT, namespace), *contents)]

"""DataDownloads from New to every terminal phase, over the wire, with a mover process and the binder of the driver."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controller.environment import (
    NAMESPACE_OF_VELERO,
    SELECTOR,
    SETTINGS,
    SNAPSHOT_ID,
    Controller,
    Environment,
    eventually,
)
from velero_py_plugin.api.object_meta import parse_time
from velero_py_plugin.api.resource import DATA_DOWNLOAD, PV, PVC
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.controller.exposer.restored_volume import volume_name
from velero_py_plugin.testing.csi_directory import DRIVER, STORAGE_CLASS_NAME

RESTORING = """
pathlib.Path(option("--target"), "file").write_text("restored")
progress(5, 10)
wait_for("go")
result(total_bytes=10)
"""


def phase_of(environment: Environment) -> str:
    return str(environment.download()["status"].get("phase", "New"))


def reach(controller: Controller, environment: Environment, phase: str) -> None:
    """Looks again and again until the request is in a phase."""

    def step() -> bool:
        if phase_of(environment) == phase:
            return True
        controller.download()
        return False

    eventually(step)


def finish(controller: Controller, environment: Environment, *, binder: bool = True) -> dict[str, Any]:
    """Looks until there is nothing more to do, with the cluster's binder at work between; returns the status."""

    def step() -> bool:
        if controller.download() is None:
            return True
        if binder:
            environment.csi.reconcile()
        return False

    eventually(step)
    resource = environment.download()
    status: dict[str, Any] = resource["status"]
    assert "finalizers" not in resource["metadata"]
    assert parse_time(status["startTimestamp"]) is not None
    assert parse_time(status["completionTimestamp"]) is not None
    assert not (environment.here / "movers" / resource["metadata"]["uid"]).exists()
    return status


def restored(environment: Environment) -> Path:
    return environment.csi.path_of_volume(volume_name(environment.download()["metadata"]["uid"]))


def test_the_claim_gets_the_restored_volume(environment: Environment, exposer: LocalProcessExposer) -> None:
    claim = environment.make_target_claim()
    environment.make_download()
    environment.program(RESTORING)
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(lambda: controller.download() and environment.download()["status"]["progress"].get("bytesDone") == 5)
    environment.csi.settle()
    assert environment.kube.list(PV) == []
    environment.say("go")
    status = finish(controller, environment)
    assert status["phase"] == "Completed"
    assert status["progress"] == {"totalBytes": 10, "bytesDone": 10}
    assert status["node"] == "node-1"
    assert "message" not in status

    name = volume_name(environment.download()["metadata"]["uid"])
    bound = environment.kube.get(PVC, "data", "app")
    assert (bound["spec"]["volumeName"], bound["status"]["phase"]) == (name, "Bound")
    volume = environment.kube.get(PV, name)
    assert volume["metadata"]["labels"] == {"velero.io/dynamic-pv-restore": SELECTOR}
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert volume["spec"]["csi"] == {"driver": DRIVER, "volumeHandle": name}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert volume["spec"]["storageClassName"] == STORAGE_CLASS_NAME
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    assert (environment.csi.path_of_volume(name) / "file").read_text() == "restored"


def test_what_the_mover_is_told(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim()
    environment.make_download(dataMoverConfig={"WriteSparseFiles": "true"}, sourceNamespace="old-app")
    environment.program("result(total_bytes=0)\n")
    assert finish(Controller(environment, exposer), environment)["phase"] == "Completed"
    arguments = environment.calls()[0][1]
    url = "s3://backups/cluster-1/kopia/old-app/?endpoint=http%3A%2F%2Fs3.example%3A9000&region=minio"
    assert arguments[:4] == ["mover", "restore", "--repository", url]
    assert arguments[4] == "--password-file"
    target = str(restored(environment))
    assert arguments[6:] == ["--snapshot", SNAPSHOT_ID, "--target", target, "--write-sparse-files"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"snapshotID": ""}, "InvalidRequest: spec.snapshotID is empty: the upload of this volume never completed."),
        ({"targetVolume": {"pvc": "", "pv": "", "namespace": "app"}}, "InvalidRequest: "),
        ({"sourceNamespace": ""}, "InvalidRequest: "),
    ],
)
def test_what_nobody_could_fulfil_fails_at_once(
    environment: Environment, exposer: LocalProcessExposer, spec: dict[str, Any], message: str
) -> None:
    environment.make_download(**spec)
    controller = Controller(environment, exposer)
    assert [controller.download() for _ in range(3)] == [0.0, 0.0, None]
    status = environment.download()["status"]
    assert status["phase"] == "Failed"
    assert status["message"].startswith(message)


def test_waits_for_the_claim(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_download()
    environment.program("result(total_bytes=0)\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "Accepted")
    eventually(lambda: controller.download() and "message" in environment.download()["status"])
    message = eventually(
        lambda: controller.download() and "Claim" in (text := environment.download()["status"]["message"]) and text
    )
    assert message == "TargetClaimMissing: the claim app/data does not exist yet."
    environment.make_target_claim()
    assert finish(controller, environment)["phase"] == "Completed"


def test_a_claim_that_never_comes(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_download()
    controller = Controller(environment, exposer)
    reach(controller, environment, "Accepted")
    eventually(lambda: controller.download() and "Claim" in environment.download()["status"].get("message", ""))
    long_ago = {"status": {"acceptedTimestamp": "2026-01-01T00:00:00Z"}}
    environment.kube.merge_patch(DATA_DOWNLOAD, "download", long_ago, NAMESPACE_OF_VELERO)
    status = finish(controller, environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("PrepareTimeout: ")
    assert "TargetClaimMissing: the claim app/data does not exist yet." in status["message"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"volumeName": "other"}, "TargetClaimUnsuitable: the claim app/data is already bound to volume other."),
        ({"selector": None}, "TargetClaimUnsuitable: the claim app/data does not select by the label "),
        ({"volumeMode": "Block"}, "BlockVolumeUnsupported: "),
        ({"storageClassName": ""}, "TargetClaimUnsuitable: the claim app/data names no storage class."),
    ],
)
def test_a_claim_that_cannot_be_filled(
    environment: Environment, exposer: LocalProcessExposer, spec: dict[str, Any], message: str
) -> None:
    environment.make_target_claim(**spec)
    environment.make_download()
    status = finish(Controller(environment, exposer), environment, binder=False)
    assert status["phase"] == "Failed"
    assert status["message"].startswith(message)
    assert environment.calls() == []


def test_a_storage_class_that_does_not_exist(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim(storageClassName="gone")
    environment.make_download()
    environment.program("result(total_bytes=0)\n")
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith('TargetClaimUnsuitable: the storage class "gone" does not exist.')
    assert environment.calls() == []


def test_a_volume_that_is_never_bound_fails_the_download(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_target_claim()
    environment.make_download(operationTimeout="1ms")
    environment.program("result(total_bytes=0)\n")
    status = finish(Controller(environment, exposer), environment, binder=False)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("BindingTimeout: ")
    assert "BindingPending: the volume velero-py-plugin-" in status["message"]
    assert environment.kube.list(PV) == []
    assert not restored(environment).exists()


def test_an_operation_timeout_that_is_none(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim()
    environment.make_download(operationTimeout="soon")
    environment.program("result(total_bytes=0)\n")
    controller = Controller(environment, exposer, dataclasses.replace(SETTINGS, binding_timeout=0.0))
    status = finish(controller, environment, binder=False)
    assert status["message"].startswith("BindingTimeout: ")


def test_a_claim_that_was_taken_meanwhile(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program("wait_for('go')\nresult(total_bytes=0)\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    environment.kube.merge_patch(PVC, "data", {"spec": {"volumeName": "other"}}, "app")
    environment.say("go")
    status = finish(controller, environment)
    assert status["message"].startswith("TargetClaimUnsuitable: the claim app/data is already bound to volume other.")
    assert not restored(environment).exists()


@pytest.mark.parametrize("phase", ["New", "Accepted", "Prepared", "InProgress"])
def test_cancel_in_every_phase_leaves_nothing(
    environment: Environment, exposer: LocalProcessExposer, phase: str
) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program(RESTORING)
    controller = Controller(environment, exposer)
    reach(controller, environment, phase)
    environment.cancel(DATA_DOWNLOAD, "download")
    status = finish(controller, environment)
    assert status["phase"] == "Canceled"
    assert not restored(environment).exists()
    assert environment.kube.list(PV) == []


def test_cancel_while_the_volume_waits_to_be_bound(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program("result(total_bytes=0)\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(lambda: controller.download() and environment.kube.list(PV))
    environment.cancel(DATA_DOWNLOAD, "download")
    assert finish(controller, environment, binder=False)["phase"] == "Canceled"
    assert environment.kube.list(PV) == []
    assert not restored(environment).exists()


def test_cancel_after_the_claim_was_bound_keeps_its_data(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program(RESTORING)
    environment.say("go")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(lambda: controller.download() and environment.kube.list(PV))
    environment.csi.settle()
    environment.cancel(DATA_DOWNLOAD, "download")
    assert finish(controller, environment)["phase"] == "Canceled"
    assert (restored(environment) / "file").read_text() == "restored"
    assert environment.kube.get(PVC, "data", "app")["status"]["phase"] == "Bound"


def test_a_completed_restore_is_kept_whatever_becomes_of_its_volume_object(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program(RESTORING)
    environment.say("go")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(lambda: controller.download() and environment.kube.list(PV))
    environment.csi.settle()
    reach(controller, environment, "Completed")
    (volume,) = environment.kube.list(PV)
    released = {"status": {"phase": "Released"}}
    environment.kube.merge_patch(PV, volume["metadata"]["name"], released, status=True)
    assert finish(controller, environment, binder=False)["phase"] == "Completed"
    assert (restored(environment) / "file").read_text() == "restored"


def test_a_failed_restore_leaves_nothing(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program("""
pathlib.Path(option("--target"), "file").write_text("half")
result(1, outcome="failed", reason="BlobMissing", message="the pack p12 is gone.")
""")
    status = finish(Controller(environment, exposer), environment)
    assert status["message"] == "BlobMissing: the pack p12 is gone."
    assert not restored(environment).exists()
    assert environment.kube.get(PVC, "data", "app")["status"].get("phase") != "Bound"


def test_a_restore_that_is_tried_again_starts_with_an_empty_folder(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program("""
target = pathlib.Path(option("--target"))
assert not list(target.iterdir())
if len((here / "calls").read_text().splitlines()) < 3:
    (target / "secret" / "deeper").mkdir(parents=True)
    (target / "link").symlink_to("/")
    (target / "secret").chmod(0)
    result(75, outcome="failed", reason="StorageUnavailable", message="no answer.", temporary=True)
result(total_bytes=0, message="2 owners could not be restored for want of privilege")
""")
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Completed"
    assert status["message"] == "2 owners could not be restored for want of privilege"
    assert len(environment.calls()) == 3


def test_a_download_deleted_by_force_leaves_nothing(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_target_claim()
    environment.make_download()
    environment.program(RESTORING)
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    target = restored(environment)
    assert target.is_dir()
    environment.kube.merge_patch(DATA_DOWNLOAD, "download", {"metadata": {"finalizers": None}}, NAMESPACE_OF_VELERO)
    environment.kube.delete(DATA_DOWNLOAD, "download", NAMESPACE_OF_VELERO)
    assert controller.download() is None
    assert not target.exists()
    assert os.listdir(environment.here / "movers") == []

"""DataUploads from New to every terminal phase, over the wire, with a mover process."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controller.environment import (
    NAMESPACE_OF_VELERO,
    SETTINGS,
    SNAPSHOT_ID,
    Controller,
    Environment,
    eventually,
)
from velero_py_plugin import errors
from velero_py_plugin.api.names import FINALIZER
from velero_py_plugin.api.object_meta import parse_time
from velero_py_plugin.api.resource import (
    BACKUP_STORAGE_LOCATION,
    DATA_UPLOAD,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
)
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.kube.errors import ApiUnavailableError


def phase_of(environment: Environment, name: str = "upload") -> str:
    return str(environment.upload(name)["status"].get("phase", "New"))


def reach(controller: Controller, environment: Environment, phase: str, name: str = "upload") -> dict[str, Any]:
    """Looks again and again until the request is in a phase."""

    def step() -> bool:
        if phase_of(environment, name) == phase:
            return True
        controller.upload(name)
        return False

    eventually(step)
    return environment.upload(name)


def finish(controller: Controller, environment: Environment, name: str = "upload") -> dict[str, Any]:
    """Looks again and again until there is nothing more to do; returns the status."""
    eventually(lambda: controller.upload(name) is None)
    resource = environment.upload(name)
    status: dict[str, Any] = resource["status"]
    assert "finalizers" not in resource["metadata"]
    assert parse_time(status["startTimestamp"]) is not None
    assert parse_time(status["completionTimestamp"]) is not None
    assert not (environment.here / "movers" / resource["metadata"]["uid"]).exists()
    return status


def test_every_field_of_a_completed_upload(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("progress(5, 10)\nwait_for('go')\ncompleted()\n")
    controller = Controller(environment, exposer)

    accepted = reach(controller, environment, "Accepted")
    assert accepted["metadata"]["finalizers"] == [FINALIZER]
    assert accepted["status"]["acceptedByNode"] == "node-1"
    assert parse_time(accepted["status"]["acceptedTimestamp"]) is not None
    assert environment.calls() == []

    prepared = reach(controller, environment, "Prepared")
    assert (prepared["status"]["node"], prepared["status"]["nodeOS"]) == ("node-1", "linux")

    in_progress = reach(controller, environment, "InProgress")
    assert parse_time(in_progress["status"]["startTimestamp"]) is not None

    eventually(lambda: controller.upload() and environment.upload()["status"]["progress"].get("bytesDone") == 5)
    assert environment.upload()["status"]["progress"] == {"totalBytes": 10, "bytesDone": 5}
    environment.say("go")
    status = finish(controller, environment)
    assert status["phase"] == "Completed"
    assert status["snapshotID"] == SNAPSHOT_ID
    assert status["incrementalBytes"] == 4
    assert status["progress"] == {"totalBytes": 10, "bytesDone": 10}
    assert Path(status["path"]).is_dir()
    assert "message" not in status


def test_what_the_mover_is_told(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('go')\ncompleted()\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    password_file = eventually(environment.calls)[0][1][5]
    assert Path(password_file).read_text() == "static-passw0rd"
    assert stat.S_IMODE(os.stat(password_file).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(password_file)).st_mode) == 0o700
    environment.say("go")
    status = finish(controller, environment)
    assert environment.calls()[0][1] == [
        *("mover", "backup"),
        *("--repository", "s3://backups/cluster-1/kopia/app/?endpoint=http%3A%2F%2Fs3.example%3A9000&region=minio"),
        *("--password-file", password_file),
        *("--source", status["path"]),
        *("--source-name", "app/data"),
        *("--tag", "velero.io/async-operation-id=du-1"),
        *("--tag", "snapshot-requester=snapshot-data-upload-download"),
        *("--tag", "snapshot-uploader=kopia"),
    ]
    assert not os.path.exists(password_file)


@pytest.mark.parametrize("name", ["", "velero", "another-mover"])
def test_the_requests_of_other_movers_are_left_alone(
    environment: Environment, exposer: LocalProcessExposer, name: str
) -> None:
    environment.make_snapshot()
    before = environment.make_upload(datamover=name)
    assert Controller(environment, exposer).upload() is None
    assert environment.upload() == before


def test_a_request_that_is_gone_is_no_error(environment: Environment, exposer: LocalProcessExposer) -> None:
    assert Controller(environment, exposer).upload() is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"snapshotType": "Restic"}, "InvalidRequest: "),
        ({"csiSnapshot": None}, "InvalidRequest: "),
        ({"sourcePVC": ""}, "InvalidRequest: "),
        ({"backupStorageLocation": "elsewhere"}, 'StorageLocationNotFound: The BackupStorageLocation "elsewhere" '),
        ({"backupStorageLocation": "azure"}, "StorageLocationInvalid: The provider velero.io/azure "),
        ({"backupStorageLocation": "read-only"}, "StorageLocationReadOnly: "),
    ],
)
def test_what_nobody_could_fulfil_fails_at_once(
    environment: Environment, exposer: LocalProcessExposer, spec: dict[str, Any], message: str
) -> None:
    environment.make_location("azure", provider="azure", config={})
    environment.make_location("read-only", accessMode="ReadOnly")
    environment.make_upload(**spec)
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith(message)


def test_a_snapshot_that_does_not_exist_fails_at_once(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_upload(snapshot="missing")
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("VolumeSnapshotNotFound: the VolumeSnapshot app/missing ")


def test_a_snapshot_without_a_directory_fails_at_once(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    for path in (environment.here / "storage" / "snapshots").iterdir():
        path.rmdir()
    environment.make_upload()
    assert finish(Controller(environment, exposer), environment)["message"].startswith("VolumeUnreachable: ")


def test_a_block_volume_is_refused(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    content = environment.kube.list(VOLUME_SNAPSHOT_CONTENT)[0]["metadata"]["name"]
    environment.kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, content, {"spec": {"sourceVolumeMode": "Block"}})
    environment.make_upload()
    assert finish(Controller(environment, exposer), environment)["message"].startswith("BlockVolumeUnsupported: ")


def test_waits_for_the_snapshot_and_says_so(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_claim("claim-of-snap")
    environment.csi.settle()
    environment.make_unready_snapshot()
    error = {"status": {"readyToUse": False, "error": {"message": "the array is busy"}}}
    environment.kube.merge_patch(VOLUME_SNAPSHOT, "snap", error, "app", status=True)
    environment.make_upload()
    controller = Controller(environment, exposer)
    reach(controller, environment, "Accepted")
    eventually(lambda: controller.upload() and "the array is busy" in environment.upload()["status"].get("message", ""))
    assert environment.upload()["status"]["message"].startswith("SnapshotNotReady: ")
    environment.csi.settle()
    status = finish(controller, environment)
    assert status["phase"] == "Completed"
    assert "message" not in status


def test_the_prepare_timeout_names_what_was_waited_for(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_claim("claim-of-snap")
    environment.csi.settle()
    environment.make_unready_snapshot()
    environment.make_upload()
    controller = Controller(environment, exposer)
    reach(controller, environment, "Accepted")
    eventually(lambda: controller.upload() and "message" in environment.upload()["status"])
    long_ago = {"status": {"acceptedTimestamp": "2026-01-01T00:00:00Z"}}
    environment.kube.merge_patch(DATA_UPLOAD, "upload", long_ago, NAMESPACE_OF_VELERO)
    status = finish(controller, environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("PrepareTimeout: ")
    assert "SnapshotNotReady: the VolumeSnapshot app/snap is not ready" in status["message"]


@pytest.mark.parametrize("phase", ["New", "Accepted", "Prepared", "InProgress"])
def test_cancel_in_every_phase(environment: Environment, exposer: LocalProcessExposer, phase: str) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('never')\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, phase)
    environment.cancel(DATA_UPLOAD, "upload")
    status = finish(controller, environment)
    assert status["phase"] == "Canceled"
    assert status["message"].startswith("Canceled: ")
    assert not any(alive(pid) for pid, _ in environment.calls())


def test_cancel_passes_through_canceling(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("signal.signal(signal.SIGTERM, lambda *_: (wait_for('end'), canceled()))\nwait_for('never')\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(environment.calls)
    environment.cancel(DATA_UPLOAD, "upload")
    reach(controller, environment, "Canceling")
    controller.upload()
    assert phase_of(environment) == "Canceling"
    environment.say("end")
    assert finish(controller, environment)["phase"] == "Canceled"


def test_a_mover_that_ignores_the_request_to_stop_is_killed(environment: Environment) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprogress(1, 2)\nwait_for('never')\n")
    with environment.exposer(cancel_grace=0.05) as exposer:
        controller = Controller(environment, exposer)
        reach(controller, environment, "InProgress")
        eventually(lambda: controller.upload() and environment.upload()["status"]["progress"])
        environment.cancel(DATA_UPLOAD, "upload")
        assert finish(controller, environment)["phase"] == "Canceled"
        assert not alive(environment.calls()[0][0])


def test_cancel_that_comes_after_the_work_is_done(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("completed()\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(lambda: not alive(environment.calls()[0][0]) if environment.calls() else False)
    environment.cancel(DATA_UPLOAD, "upload")
    status = finish(controller, environment)
    assert status["phase"] == "Completed"
    assert status["snapshotID"] == SNAPSHOT_ID


@pytest.mark.parametrize("phase", ["Accepted", "Prepared", "InProgress"])
def test_deletion_waits_for_the_mover_to_be_gone(
    environment: Environment, exposer: LocalProcessExposer, phase: str
) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('never')\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, phase)
    environment.kube.delete(DATA_UPLOAD, "upload", NAMESPACE_OF_VELERO)
    assert environment.exists(DATA_UPLOAD, "upload")
    eventually(lambda: controller.upload() is None)
    assert not environment.exists(DATA_UPLOAD, "upload")
    assert not any(alive(pid) for pid, _ in environment.calls())


def test_a_request_deleted_by_force_leaves_nothing_running(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('never')\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(environment.calls)
    environment.kube.merge_patch(DATA_UPLOAD, "upload", {"metadata": {"finalizers": None}}, NAMESPACE_OF_VELERO)
    environment.kube.delete(DATA_UPLOAD, "upload", NAMESPACE_OF_VELERO)
    assert controller.upload() is None
    assert not alive(environment.calls()[0][0])
    assert exposer.held() == []


def test_a_new_request_of_the_same_name_is_another_one(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('never')\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    eventually(environment.calls)
    environment.kube.merge_patch(DATA_UPLOAD, "upload", {"metadata": {"finalizers": None}}, NAMESPACE_OF_VELERO)
    environment.kube.delete(DATA_UPLOAD, "upload", NAMESPACE_OF_VELERO)
    environment.make_upload()
    environment.program("completed()\n")
    assert finish(controller, environment)["phase"] == "Completed"
    assert len(environment.calls()) == 2
    assert not any(alive(pid) for pid, _ in environment.calls())


def test_a_failed_mover(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("result(1, outcome='failed', reason='SourceUnreadable', message='a/b cannot be read.')\n")
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"] == "SourceUnreadable: a/b cannot be read."
    assert len(environment.calls()) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('disk on fire', file=sys.stderr)\nos.kill(os.getpid(), signal.SIGKILL)\n", ["SIGKILL", "disk on fire"]),
        ("sys.exit('no idea')\n", ["exit code 1", "no idea"]),
        ("result(outcome='completed')\n", ["without a snapshot id"]),
        ("canceled()\n", ["nobody had asked"]),
    ],
)
def test_a_lost_mover(environment: Environment, exposer: LocalProcessExposer, body: str, words: list[str]) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program(body)
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("MoverLost: ")
    assert all(word in status["message"] for word in words)


def test_a_mover_that_fails_for_now_is_started_again(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("""
if len((here / "calls").read_text().splitlines()) < 3:
    result(75, outcome="failed", reason="StorageUnavailable", message="no answer.", temporary=True)
completed()
""")
    assert finish(Controller(environment, exposer), environment)["phase"] == "Completed"
    assert len(environment.calls()) == 3


def test_a_mover_that_keeps_failing_for_now_fails_in_the_end(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("sys.stderr.write('bucket away\\n')\nsys.exit(75)\n")
    status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("MoverFailed: ")
    assert "bucket away" in status["message"]
    assert len(environment.calls()) == SETTINGS.mover_attempts


def test_the_pause_between_two_starts(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("sys.exit(75)\n")
    controller = Controller(environment, exposer, dataclasses.replace(SETTINGS, retry_delay=3600.0))
    reach(controller, environment, "InProgress")
    eventually(lambda: not alive(environment.calls()[0][0]) if environment.calls() else False)
    for _ in range(5):
        assert controller.upload() == SETTINGS.poll_interval
    assert phase_of(environment) == "InProgress"
    environment.cancel(DATA_UPLOAD, "upload")
    assert finish(controller, environment)["phase"] == "Canceled"
    assert len(environment.calls()) == 1


def test_a_mover_that_cannot_be_started(environment: Environment) -> None:
    environment.make_snapshot()
    environment.make_upload()
    with environment.exposer() as exposer:
        exposer._command = ["/does/not/exist"]
        status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == "Failed"
    assert status["message"].startswith("MoverStartFailed: the mover /does/not/exist cannot be started")


def test_the_repository_is_prepared_first(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    seen: list[tuple[str, str]] = []

    def prepare(url: str, password: str) -> str:
        seen.append((url, password))
        assert environment.calls() == []
        return "id"

    assert finish(Controller(environment, exposer, prepare=prepare), environment)["phase"] == "Completed"
    assert seen == [
        (
            "s3://backups/cluster-1/kopia/app/?endpoint=http%3A%2F%2Fs3.example%3A9000&region=minio",
            "static-passw0rd",
        )
    ]
    assert environment.wakes[0] == "upload"


def test_a_repository_that_will_never_open(environment: Environment, exposer: LocalProcessExposer) -> None:
    class WrongPasswordError(errors.PermanentError):
        reason = "RepositoryWrongPassword"

    def prepare(_url: str, _password: str) -> str:
        raise WrongPasswordError("the password does not open the repository.")

    environment.make_snapshot()
    environment.make_upload()
    status = finish(Controller(environment, exposer, prepare=prepare), environment)
    assert status["phase"] == "Failed"
    assert status["message"] == "RepositoryWrongPassword: the password does not open the repository."
    assert environment.repositories()[0]["status"]["phase"] == "NotReady"
    assert environment.calls() == []


def test_of_two_controllers_only_one_accepts(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.api.fail_next("PUT", "/datauploads/upload", 409)
    controller = Controller(environment, exposer)
    assert controller.upload() == SETTINGS.poll_interval
    assert phase_of(environment) == "New"
    assert finish(controller, environment)["phase"] == "Completed"


def test_a_change_between_look_and_write_is_not_overwritten(environment: Environment) -> None:
    others = [{"status": {"phase": "Failed", "message": "somebody else decided."}}]

    def directory(handle: str) -> Path:
        if others:
            environment.kube.merge_patch(DATA_UPLOAD, "upload", others.pop(), NAMESPACE_OF_VELERO)
        return environment.csi.path_of_snapshot(handle)

    environment.make_snapshot()
    environment.make_upload()
    with environment.exposer(snapshot_directory=directory) as exposer:
        controller = Controller(environment, exposer)
        eventually(lambda: controller.upload() is None)
    assert environment.upload()["status"]["phase"] == "Failed"
    assert environment.upload()["status"]["message"] == "somebody else decided."
    assert environment.calls() == []


@pytest.mark.parametrize("phase", ["Accepted", "Prepared", "InProgress", "Completed"])
def test_an_outage_of_the_api_loses_nothing(environment: Environment, exposer: LocalProcessExposer, phase: str) -> None:
    environment.make_snapshot()
    environment.make_upload()
    controller = Controller(environment, exposer)
    if phase == "Completed":
        reach(controller, environment, "InProgress")
    else:
        reach(controller, environment, phase)
    environment.api.fail_next("PATCH", "/datauploads/upload", 503)

    def until_refused() -> bool:
        try:
            controller.upload()
        except ApiUnavailableError:
            return True
        return False

    eventually(until_refused)
    status = finish(controller, environment)
    assert status["phase"] == "Completed"
    assert len(environment.calls()) == 1


def test_a_lost_answer_to_the_start_is_no_second_start(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    controller = Controller(environment, exposer)
    reach(controller, environment, "Prepared")
    environment.api.drop_next("PATCH", "/datauploads/upload", processed=True)

    def until_dropped() -> bool:
        try:
            controller.upload()
        except ApiUnavailableError:
            return True
        return False

    eventually(until_dropped)
    assert finish(controller, environment)["phase"] == "Completed"
    assert len(environment.calls()) == 1


@pytest.mark.parametrize("phase", ["Accepted", "Prepared"])
def test_a_new_controller_continues_what_was_prepared(environment: Environment, phase: str) -> None:
    environment.make_snapshot()
    environment.make_upload()
    with environment.exposer() as exposer:
        reach(Controller(environment, exposer), environment, phase)
    with environment.exposer() as exposer:
        assert finish(Controller(environment, exposer), environment)["phase"] == "Completed"


@pytest.mark.parametrize(("cancel", "phase"), [(False, "Failed"), (True, "Canceled")])
def test_a_mover_of_a_killed_controller_is_ended(environment: Environment, *, cancel: bool, phase: str) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwait_for('never')\n")
    killed = environment.exposer()
    reach(Controller(environment, killed), environment, "InProgress")
    pid = eventually(environment.calls)[0][0]
    if cancel:
        environment.cancel(DATA_UPLOAD, "upload")
    with environment.exposer() as exposer:
        status = finish(Controller(environment, exposer), environment)
    assert status["phase"] == phase
    assert cancel or status["message"].startswith("MoverLost: the controller was started anew")
    killed.close()
    assert not alive(pid)


def test_another_process_of_a_recorded_id_is_not_touched(environment: Environment) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("os.kill(os.getpid(), signal.SIGKILL)\n")
    with environment.exposer() as killed:
        reach(Controller(environment, killed), environment, "InProgress")
        uid = environment.upload()["metadata"]["uid"]
        record = environment.here / "movers" / uid / "mover.json"
        record.write_text(f'{{"pid": {os.getpid()}, "mark": "{environment.here}/movers/{uid}/password"}}')
        with environment.exposer() as exposer:
            status = finish(Controller(environment, exposer), environment)
    assert status["message"].startswith("MoverLost: ")


def test_movers_wait_their_turn(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.program("wait_for('go')\ncompleted()\n")
    settings = dataclasses.replace(SETTINGS, max_concurrent_moves=2, prepare_timeout=3600.0)
    controller = Controller(environment, exposer, settings)
    names = ["one", "two", "three"]
    for name in names:
        environment.make_upload(name)
        reach(controller, environment, "Prepared", name)
    for _ in range(3):
        for name in names:
            controller.upload(name)
    assert [phase_of(environment, name) for name in names] == ["InProgress", "InProgress", "Prepared"]
    assert len(eventually(lambda: len(environment.calls()) == 2 and environment.calls())) == 2
    environment.wakes.clear()
    environment.say("go")
    finish(controller, environment, "one")
    assert environment.wakes == ["three"]
    assert finish(controller, environment, "two")["phase"] == "Completed"
    assert finish(controller, environment, "three")["phase"] == "Completed"


def test_a_prepared_request_that_must_wait_again_leaves_its_slot(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    environment.make_snapshot("first")
    environment.make_snapshot("second")
    controller = Controller(environment, exposer, dataclasses.replace(SETTINGS, max_concurrent_moves=1))
    environment.make_upload("first", snapshot="first")
    environment.make_upload("second", snapshot="second")
    reach(controller, environment, "Prepared", "first")
    not_ready = {"status": {"readyToUse": False}}
    environment.kube.merge_patch(VOLUME_SNAPSHOT, "first", not_ready, "app", status=True)
    controller.upload("first")
    assert environment.upload("first")["status"]["message"].startswith("SnapshotNotReady: ")
    assert finish(controller, environment, "second")["phase"] == "Completed"
    environment.csi.settle()
    assert finish(controller, environment, "first")["phase"] == "Completed"


def test_the_location_may_vanish_while_the_mover_runs(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('go')\ncompleted()\n")
    controller = Controller(environment, exposer)
    reach(controller, environment, "InProgress")
    environment.kube.delete(BACKUP_STORAGE_LOCATION, "default", NAMESPACE_OF_VELERO)
    environment.say("go")
    assert finish(controller, environment)["phase"] == "Completed"


def alive(pid: int) -> bool:
    """Whether a process runs; one that was killed and not waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

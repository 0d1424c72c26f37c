"""The controller as a whole: watches, queues and reconcilers together, over the wire."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from typing import Any

import pytest

from tests.unit.controller.environment import (
    NAMESPACE_OF_VELERO,
    SETTINGS,
    Environment,
    eventually,
)
from velero_py_plugin.api.backup_repository import build_backup_repository
from velero_py_plugin.api.resource import BACKUP_REPOSITORY, DATA_UPLOAD, PVC
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.kube.errors import ApiUnavailableError


def phase_of(environment: Environment, name: str = "upload") -> str:
    return str(environment.upload(name)["status"].get("phase", "New"))


def tidy(resource: dict[str, Any]) -> bool:
    return "finalizers" not in resource["metadata"]


def test_backs_up_and_restores(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload("before")
    with environment.running_controller(exposer):
        environment.make_upload("after")
        eventually(lambda: phase_of(environment, "before") == phase_of(environment, "after") == "Completed")
        environment.program("result(total_bytes=3)\n")
        environment.make_target_claim()
        environment.make_download()

        def bound() -> bool:
            environment.csi.reconcile()
            return bool(environment.download()["status"].get("phase") == "Completed")

        eventually(bound)
        assert environment.kube.get(PVC, "data", "app")["status"]["phase"] == "Bound"
        eventually(lambda: tidy(environment.download()) and tidy(environment.upload("after")))
    assert len(environment.repositories()) == 1
    assert exposer.held() == []


def test_uploads_move_side_by_side_up_to_the_limit(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    # Each mover waits for another one to be there: one at a time, they would wait for ever.
    environment.program("""
while len((here / "calls").read_text().splitlines()) < 2:
    time.sleep(0.002)
(here / f"running-{os.getpid()}").touch()
count = len(list(here.glob("running-*")))
(here / "most").open("a").write(f"{count}\\n")
time.sleep(0.01)
(here / f"running-{os.getpid()}").unlink()
completed()
""")
    names = [f"upload-{number}" for number in range(5)]
    for name in names:
        environment.make_upload(name)
    with environment.running_controller(exposer):
        eventually(lambda: {phase_of(environment, name) for name in names} == {"Completed"})
    assert max(int(line) for line in (environment.here / "most").read_text().split()) <= SETTINGS.max_concurrent_moves


def test_cancel_reaches_a_running_mover(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('never')\n")
    with environment.running_controller(exposer, dataclasses.replace(SETTINGS, poll_interval=60.0)):
        eventually(lambda: phase_of(environment) == "InProgress")
        environment.cancel(DATA_UPLOAD, "upload")
        eventually(lambda: phase_of(environment) in ("Canceling", "Canceled"))
    with environment.running_controller(exposer):
        eventually(lambda: phase_of(environment) == "Canceled" and tidy(environment.upload()))


def test_broken_watches_and_refused_calls(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.api.fail_next("WATCH", "/datauploads", 503, 2)
    environment.api.fail_next("GET", "/datauploads", 500)
    environment.api.fail_next("PUT", "/datauploads", 409)
    environment.api.fail_next("PATCH", "/datauploads", 429)
    environment.api.fail_next("PATCH", "/datauploads", 409)
    environment.api.fail_next("GET", "/backupstoragelocations", 503)
    environment.api.fail_next("POST", "/backuprepositories", 503)

    def completed(name: str) -> bool:
        with contextlib.suppress(ApiUnavailableError):  # the fault may hit the test itself
            return phase_of(environment, name) == "Completed"
        return False

    with environment.running_controller(exposer):
        environment.make_upload("one")
        eventually(lambda: completed("one"))
        environment.api.drop_watches()
        environment.api.forget_history()
        environment.make_upload("two")
        eventually(lambda: completed("two"))
    assert len(environment.calls()) == 2


def test_a_new_object_of_another_controller_becomes_ready(
    environment: Environment, exposer: LocalProcessExposer
) -> None:
    for kind in ("kopia", "restic"):
        body = build_backup_repository(
            namespace=NAMESPACE_OF_VELERO,
            volume_namespace="app",
            backup_storage_location="default",
            maintenance_frequency="0s",
        )
        body["metadata"]["name"] = f"app-default-{kind}"
        body["metadata"]["labels"]["velero.io/repository-type"] = kind
        body["spec"]["repositoryType"] = kind
        environment.kube.create(BACKUP_REPOSITORY, body, NAMESPACE_OF_VELERO)
    with environment.running_controller(exposer):

        def ready() -> bool:
            repositories = {item["metadata"]["name"]: item for item in environment.repositories()}
            assert "status" not in repositories["app-default-restic"]
            return "status" in repositories["app-default-kopia"]

        eventually(ready)


def test_what_a_killed_controller_left_behind(environment: Environment, exposer: LocalProcessExposer) -> None:
    left = environment.here / "movers" / "uid-of-a-request-that-is-gone"
    left.mkdir()
    (left / "password").write_text("secret")
    (left / "mover.json").write_text(json.dumps({"pid": 2**22 + 1, "mark": str(left / "password")}))
    environment.make_snapshot()
    environment.api.fail_next("GET", "/datadownloads", 503)
    with environment.running_controller(exposer):
        eventually(lambda: not left.exists())


def test_a_restart_in_the_middle_of_a_move(environment: Environment) -> None:
    environment.make_snapshot()
    environment.make_upload()
    environment.program("wait_for('never')\n")
    with environment.exposer() as exposer, environment.running_controller(exposer):
        eventually(lambda: phase_of(environment) == "InProgress")
    assert phase_of(environment) == "InProgress"
    with environment.exposer() as exposer, environment.running_controller(exposer):
        eventually(lambda: phase_of(environment) == "Failed" and tidy(environment.upload()))
    assert environment.upload()["status"]["message"].startswith("MoverLost: ")


@pytest.mark.parametrize("mover", ["another-mover", "velero", ""])
def test_other_movers_requests_stay_untouched(
    environment: Environment, exposer: LocalProcessExposer, mover: str
) -> None:
    environment.make_snapshot()
    before = environment.make_upload("theirs", datamover=mover)
    with environment.running_controller(exposer):
        environment.make_upload("ours")
        eventually(lambda: phase_of(environment, "ours") == "Completed")
    assert environment.upload("theirs") == before


def test_velero_s_own_requests_where_no_node_agent_runs(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload(datamover="")
    settings = dataclasses.replace(SETTINGS, mover_names=frozenset({"", "velero", "velero-py-plugin"}))
    with environment.running_controller(exposer, settings):
        eventually(lambda: phase_of(environment) == "Completed")


def test_a_hanging_store_does_not_hold_up_a_cancel(environment: Environment, exposer: LocalProcessExposer) -> None:
    environment.make_snapshot()
    environment.make_upload()
    hanging, go = threading.Event(), threading.Event()

    def prepare(_url: str, _password: str) -> str:
        hanging.set()
        go.wait()
        return "id"

    with environment.running_controller(exposer, prepare=prepare):
        hanging.wait()
        environment.cancel(DATA_UPLOAD, "upload")
        eventually(lambda: phase_of(environment) == "Canceled")
        go.set()

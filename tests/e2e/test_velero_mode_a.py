"""Velero's own data movement, with us as its data mover: its actions make the requests, our controller fulfils them."""

from __future__ import annotations

from tests.support.velero_application import Application
from tests.support.velero_server import VeleroServer, ends_well
from velero_py_plugin.api.names import MOVER_NAME


def test_velero_moves_its_snapshots_with_our_mover(velero_server: VeleroServer, application: Application) -> None:
    log_start = velero_server.log_position()
    name = f"{application.namespace}-moved"

    backup = velero_server.back_up(name, application.namespace, "--snapshot-move-data", "--data-mover", MOVER_NAME)

    assert ends_well(backup)
    [upload] = velero_server.uploads(name)  # our actions have not made a second one
    assert upload["status"]["phase"] == "Completed"
    operations = velero_server.velero("backup", "describe", name, "--details")
    assert "velero.io/csi-pvc-backupper" in operations
    assert "velero-py-plugin.io/" not in operations

    application.delete_claim()
    restore = velero_server.restore(f"{name}-restore", name)

    assert ends_well(restore)
    [download] = velero_server.downloads(f"{name}-restore")
    assert download["status"]["phase"] == "Completed"
    assert application.differences() == []
    assert velero_server.complaints(log_start) == []

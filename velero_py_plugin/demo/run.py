"""The acts of the demo, in order."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import click

from velero_py_plugin import errors, terminal
from velero_py_plugin.api.names import OWN_DOMAIN
from velero_py_plugin.api.resource import DATA_DOWNLOAD, DATA_UPLOAD
from velero_py_plugin.demo.movement import Movement
from velero_py_plugin.demo.stage import APPLICATION_NAMESPACE, CLAIM, VELERO_NAMESPACE, Stage
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob import filesystem, location
from velero_py_plugin.kopia.snapshot import snapshot_manifest
from velero_py_plugin.testing import tree
from velero_py_plugin.testing.fake_velero import BackupOutcome, FakeVelero

FILES: Final = 3_500
LARGE_FILE_BYTES: Final = 220_000_000
_SHOWN_DIFFERENCES: Final = 20


class DemoFailedError(errors.PermanentError):
    """The restored volume is not what was backed up, or never came to be."""

    reason: ClassVar[str] = "DemoFailed"


def run(*, keep: Path | None, verbose: bool, files: int = FILES, large_file_bytes: int = LARGE_FILE_BYTES) -> None:
    """Backs a volume up, destroys it, restores it and compares.

    Args:
        keep: Folder to leave the repository in; ``None`` leaves nothing.
        verbose: Also show what Velero itself does step by step.
        files: Files in the application's volume.
        large_file_bytes: Size of one more file.

    Raises:
        DemoFailedError: Anything did not match.
    """
    with tempfile.TemporaryDirectory(prefix="velero-py-demo-") as folder:
        try:
            _Demo(Path(folder), keep, verbose, files, large_file_bytes).run()
        finally:
            # Folders of mode 0000 and the like are part of the volume; the clean-up must get into them.
            subprocess.run(["chmod", "-R", "u+rwX", folder], check=False, capture_output=True)


class _Demo:
    def __init__(self, folder: Path, keep: Path | None, verbose: bool, files: int, large_file_bytes: int) -> None:
        self._folder = folder
        self._keep = keep
        self._verbose = verbose
        self._files = files
        self._large_file_bytes = large_file_bytes
        self._number = 0
        self._rows: list[list[str]] = []

    def run(self) -> None:
        self._act("starting a Kubernetes API server, an S3 server and the controller on loopback")
        with Stage(self._folder) as stage:
            original = self._make_application(stage)
            velero = FakeVelero(
                stage.kube,
                stage.csi,
                stage.plugin,
                environ=stage.plugin_environment(),
                namespace=VELERO_NAMESPACE,
                poll_interval=1.0,
                on_step=self._detail,
            )
            backup = self._back_up(stage, velero)
            self._act("the disaster: deleting the claim and its volume")
            stage.destroy_claim()
            self._restore(stage, velero, backup)
            self._act("comparing every file with what was backed up")
            differences = tree.compare_trees(original, stage.volume())
            self._show_summary(stage)
            if self._keep is not None:
                self._leave_repository(stage, self._keep)
        if differences:
            for difference in differences[:_SHOWN_DIFFERENCES]:
                click.echo(f"   {difference}")
            raise DemoFailedError(f"the restored volume differs in {len(differences)} places from what was backed up")
        click.secho("\nThe restored volume is identical: names, bytes, modes, owners, times, links.", fg="green")

    def _make_application(self, stage: Stage) -> Path:
        volume = stage.make_claim()
        self._act(f"an application with a claim: {APPLICATION_NAMESPACE}/{CLAIM}")
        original = self._folder / "original"
        tree.generate_tree(original, files=self._files, large_file_bytes=self._large_file_bytes, seed=1)
        subprocess.run(["cp", "-a", f"{original}/.", str(volume)], check=True)
        summary = tree.summarise_tree(original)
        size, largest = terminal.human_bytes(summary.size), terminal.human_bytes(summary.largest)
        self._say(
            f"{summary.files} files in {summary.folders} folders, {summary.links} links, {size}; largest file {largest}"
        )
        return original

    def _back_up(self, stage: Stage, velero: FakeVelero) -> BackupOutcome:
        self._act("velero backup create nightly: snapshot, then our plugin, then a mover process")
        with Movement(stage.kube, DATA_UPLOAD, VELERO_NAMESPACE) as upload, self._bar("uploading", upload.bytes_done):
            backup = velero.backup("nightly", APPLICATION_NAMESPACE, CLAIM)
        self._check("Backup", backup.phase, backup.errors)
        self._note("upload", upload)
        return backup

    def _restore(self, stage: Stage, velero: FakeVelero, backup: BackupOutcome) -> None:
        self._act("velero restore create --from-backup nightly")
        with (
            Movement(stage.kube, DATA_DOWNLOAD, VELERO_NAMESPACE) as download,
            self._bar("downloading", download.bytes_done),
        ):
            restore = velero.restore("after-the-disaster", backup)
        self._check("Restore", restore.phase, restore.errors)
        self._note("download", download)

    def _check(self, kind: str, phase: str, found: tuple[str, ...]) -> None:
        self._say(f"{kind} {phase}")
        if phase != "Completed":
            raise DemoFailedError(f"the {kind} ended {phase}: {'; '.join(found) or 'no reason was given'}")

    def _note(self, what: str, movement: Movement) -> None:
        status = movement.last.get("status") or {}
        done, _ = movement.bytes_done()
        name, snapshot_id = movement.last["metadata"]["name"], status.get("snapshotID")
        self._say(
            f"{movement.last['kind']} {name}: {status['phase']}" + (f", snapshot {snapshot_id}" if snapshot_id else "")
        )
        seconds = movement.seconds_in_progress()
        self._rows.append(
            [
                what,
                terminal.human_bytes(done),
                terminal.human_bytes(status["incrementalBytes"]) if "incrementalBytes" in status else "",
                f"{seconds:.1f}",
                f"{done / 1e6 / seconds:.0f}" if seconds else "",
                " → ".join(f"{phase} {at:.1f}" for phase, at in movement.phases),
            ]
        )

    def _show_summary(self, stage: Stage) -> None:
        url, password = stage.repository_url(), stage.password
        with kopia_repository.open_repository(location.open_storage(url), password) as repository:
            snapshot = snapshot_manifest.list_snapshots(repository.manifests)[-1]
            stored = sum(blob.length for blob in repository.storage.list())
        files = str(snapshot.root_entry.summary.files if snapshot.root_entry.summary else 0)
        click.echo()
        terminal.show_table(
            ["MOVE", "FILES", "BYTES", "NEW BYTES", "SECONDS", "MB/S", "PHASES, AND SECONDS AFTER THE FIRST"],
            [[row[0], files, *row[1:]] for row in self._rows],
            right=frozenset({"FILES", "BYTES", "NEW BYTES", "SECONDS", "MB/S"}),
        )
        click.echo(f"\nThe repository in S3 has {terminal.human_bytes(stored)} for it.")

    def _leave_repository(self, stage: Stage, keep: Path) -> None:
        """Copies the repository out of the S3 server, which ends with the demo; blobs are the same in any storage."""
        folder = keep.absolute()
        target = filesystem.FilesystemStorage(folder, create=True)
        with contextlib.closing(location.open_storage(stage.repository_url())) as source:
            for blob in source.list():
                target.put(blob.blob_id, source.get(blob.blob_id))
        password_file = folder.with_name(folder.name + ".password")
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(stage.password + "\n")
        click.echo(f"\nThe repository is in {folder}, its password in {password_file}. Open it with kopia:")
        click.echo(f"  export KOPIA_PASSWORD=$(cat {password_file})")
        click.echo(
            f"  kopia repository connect filesystem --path {folder} --override-username default "
            "--override-hostname default"
        )
        click.echo("  kopia snapshot list --all")
        click.echo("  kopia snapshot verify --verify-files-percent=100")
        click.echo("or with this project:")
        click.echo(f"  velero-py repo --repository file://{folder} --password-file {password_file} ls latest")

    def _act(self, text: str) -> None:
        self._number += 1
        click.secho(f"{self._number}. {text}", bold=True)

    def _say(self, text: str) -> None:
        click.echo(f"   {text}")

    def _detail(self, text: str) -> None:
        if self._verbose or OWN_DOMAIN in text:
            self._say(text)

    def _bar(self, what: str, read: Callable[[], tuple[int, int]]) -> contextlib.AbstractContextManager[None]:
        return terminal.bar(f"   {what}", read)

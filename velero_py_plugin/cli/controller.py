"""``velero-py controller``: fulfils DataUploads and DataDownloads."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import threading
from pathlib import Path

import click

from velero_py_plugin import errors
from velero_py_plugin.api.names import MOVER_NAME
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.controller.run import run_controller
from velero_py_plugin.controller.settings import Settings
from velero_py_plugin.kopia.repository import prepare_repository
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import load_config


@click.command(name="controller")
@click.option("--namespace", default="velero", show_default=True, envvar="VELERO_NAMESPACE", help="Velero's namespace.")
@click.option(
    "--volumes",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Folder in which a CSI volume handle names a folder.",
)
@click.option(
    "--snapshots",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Folder in which a CSI snapshot handle names a folder.",
)
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Folder for secrets and records of running movers; of this controller alone, kept over restarts.",
)
@click.option("--max-concurrent-moves", default=2, show_default=True, type=click.IntRange(1), help="Movers at once.")
@click.option(
    "--datamover",
    "mover_names",
    multiple=True,
    default=(MOVER_NAME,),
    show_default=True,
    help="spec.datamover of the objects to fulfil; may be repeated.",
)
def command(
    namespace: str, volumes: Path, snapshots: Path, state: Path, max_concurrent_moves: int, mover_names: tuple[str, ...]
) -> None:
    """Fulfil DataUpload and DataDownload objects with movers as processes of this machine.

    For storage whose volumes and snapshots are folders of this machine. Movers as pods, for any CSI driver, are being
    built. The cluster is found as kubectl finds it: KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount.

    \b
    Example:
      velero-py controller --volumes /srv/volumes --snapshots /srv/snapshots --state /var/lib/velero-py
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = Settings(
        mover_names=frozenset(mover_names), node=platform.node(), max_concurrent_moves=max_concurrent_moves
    )
    with (
        contextlib.closing(KubeClient(load_config(os.environ))) as client,
        LocalProcessExposer(
            client,
            directory=state,
            snapshot_directory=lambda handle: _below(snapshots, handle),
            volume_directory=lambda handle: _below(volumes, handle),
            node=settings.node,
            environment=os.environ,
        ) as exposer,
    ):
        run_controller(
            client=client,
            namespace=namespace,
            exposer=exposer,
            prepare_repository=prepare_repository,
            settings=settings,
            stop=stop,
        )


def _below(folder: Path, handle: str) -> Path:
    """A handle comes from the cluster; it names a folder here and nothing else."""
    if not handle or handle.startswith(".") or "/" in handle or "\0" in handle:
        raise errors.UsageError(f"the handle {handle!r} cannot be the name of a folder")
    return folder / handle

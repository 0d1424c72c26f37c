"""``velero-py mover``: the process that moves one volume."""

from __future__ import annotations

import sys

import click

from velero_py_plugin.api import mover as mover_api
from velero_py_plugin.cli.tags import parse_tags
from velero_py_plugin.mover import backup, report, restore
from velero_py_plugin.mover.password import read_password

_REPOSITORY = click.option("--repository", required=True, metavar="URL", help="Where the repository is.")
_PASSWORD_FILE = click.option(
    "--password-file", required=True, metavar="FILE", help="File that holds the repository password."
)


@click.group(name="mover")
def command() -> None:
    """Move one volume and exit.

    Prints one JSON object per line on standard output: `progress` lines while it works, one `result` line at the end.
    SIGTERM and SIGINT cancel.

    \b
    Exit codes:
      0   completed
      1   failed; trying again is useless until something changes
      2   wrong arguments
      3   canceled
      75  failed for now; trying again may help
    """


@command.command(name="backup")
@_REPOSITORY
@_PASSWORD_FILE
@click.option("--source", required=True, metavar="PATH", help="Where the volume is mounted.")
@click.option("--source-name", required=True, metavar="NAMESPACE/PVC", help="What the snapshot is filed under.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Label of the snapshot; may be repeated.")
@click.option("--prefer-parent", default="", metavar="ID", help="Snapshot to compare with.  [default: the newest]")
def backup_command(
    repository: str, password_file: str, source: str, source_name: str, tags: tuple[str, ...], prefer_parent: str
) -> None:
    """Write a folder to the repository as a snapshot.

    \b
    Example:
      velero-py mover backup --repository 's3://backups/kopia/app?endpoint=http://127.0.0.1:9000&region=us-east-1' \\
        --password-file /credentials/repository-password --source /data --source-name app/data
    """

    def move(reporter: report.Reporter) -> mover_api.MoverResult:
        job = backup.BackupJob(
            repository, read_password(password_file), source, source_name, parse_tags(tags), prefer_parent
        )
        return job.run(reporter)

    sys.exit(report.run(move))


@command.command(name="restore")
@_REPOSITORY
@_PASSWORD_FILE
@click.option("--snapshot", required=True, metavar="ID", help="Manifest id of the snapshot.")
@click.option("--target", required=True, metavar="PATH", help="Where the empty volume is mounted.")
@click.option("--write-sparse-files", is_flag=True, help="Leave blocks of zeros unwritten.")
def restore_command(repository: str, password_file: str, snapshot: str, target: str, write_sparse_files: bool) -> None:
    """Write a snapshot to an empty folder.

    \b
    Example:
      velero-py mover restore --repository file:///backup --password-file pw --snapshot 5c0b… --target /data
    """

    def move(reporter: report.Reporter) -> mover_api.MoverResult:
        return restore.RestoreJob(repository, read_password(password_file), snapshot, target, write_sparse_files).run(
            reporter
        )

    sys.exit(report.run(move))

"""``velero-py repo``: a repository without Velero."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import getpass
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click

from velero_py_plugin import errors, terminal
from velero_py_plugin.cli.tags import parse_tags
from velero_py_plugin.kopia import ids
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob import location
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.snapshot import directory, progress, restore, snapshot_manifest, upload
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget
from velero_py_plugin.mover.password import read_password

_OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Table for people, JSON for programs.",
)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Which repository the command is about."""

    url: str
    password_file: str

    def open(self) -> kopia_repository.Repository:
        return kopia_repository.open_repository(location.open_storage(self.url), read_password(self.password_file))


@click.group(name="repo")
@click.option(
    "--repository",
    envvar="VELERO_PY_REPOSITORY",
    required=True,
    show_envvar=True,
    metavar="URL",
    help="file:///path, or s3://bucket/prefix?endpoint=…&region=…",
)
@click.option(
    "--password-file",
    envvar="VELERO_PY_PASSWORD_FILE",
    required=True,
    show_envvar=True,
    metavar="FILE",
    help="File that holds the repository password.",
)
@click.pass_context
def command(context: click.Context, repository: str, password_file: str) -> None:
    """Work with a Kopia-format repository, also one that Velero or kopia made.

    \b
    Examples:
      velero-py repo --repository file:///backup --password-file pw create
      velero-py repo --repository file:///backup --password-file pw backup /var/lib/app
      velero-py repo --repository file:///backup --password-file pw snapshots
      velero-py repo --repository file:///backup --password-file pw restore latest/config /tmp/config

    S3 credentials are found as every AWS tool finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    AWS_SHARED_CREDENTIALS_FILE, profiles, web identity.
    """
    context.obj = _Place(repository, password_file)


@command.command()
@_OUTPUT
@click.pass_obj
def create(place: _Place, output: str) -> None:
    """Create a repository, with the settings Velero uses, in an empty place."""
    storage = location.open_storage(place.url, create=True)
    with kopia_repository.create_repository(storage, read_password(place.password_file)) as repository:
        _show_status(repository, output)


@command.command()
@_OUTPUT
@click.pass_obj
def status(place: _Place, output: str) -> None:
    """Show what the repository is and holds."""
    with place.open() as repository:
        _show_status(repository, output)


@command.command()
@_OUTPUT
@click.pass_obj
def snapshots(place: _Place, output: str) -> None:
    """List the snapshots, oldest first."""
    with place.open() as repository:
        found = snapshot_manifest.list_snapshots(repository.manifests)
    if output == "json":
        terminal.show_json([_snapshot_json(snapshot) for snapshot in found])
        return
    rows = []
    for snapshot in found:
        summary = snapshot.root_entry.summary or directory.Summary()
        rows.append(
            [
                snapshot.manifest_id,
                _local_time(snapshot.start_time),
                str(summary.files),
                terminal.human_bytes(summary.size),
                snapshot.incomplete or "complete",
                str(snapshot.source),
            ]
        )
    terminal.show_table(
        ["SNAPSHOT", "TAKEN", "FILES", "SIZE", "STATE", "SOURCE"], rows, right=frozenset({"FILES", "SIZE"})
    )


@command.command(name="ls")
@click.argument("path", metavar="SNAPSHOT[/PATH]")
@click.option("-r", "--recursive", is_flag=True, help="List everything below.")
@_OUTPUT
@click.pass_obj
def list_entries(place: _Place, path: str, recursive: bool, output: str) -> None:
    """List a folder of a snapshot; SNAPSHOT is a manifest id or `latest`."""
    with place.open() as repository:
        entry = _find(repository, path)
        found = list(_entries(repository, entry, recursive))
    if output == "json":
        terminal.show_json([{"path": _printable(where), **_entry_json(child)} for where, child in found])
        return
    for where, child in found:
        kind = {directory.FILE: stat.S_IFREG, directory.DIRECTORY: stat.S_IFDIR, directory.SYMLINK: stat.S_IFLNK}
        mode = stat.filemode(kind[child.type] | child.mode)
        size = child.summary.size if child.summary else child.size
        click.echo(f"{mode} {child.uid:>6} {child.gid:>6} {size:>13} {_local_time(child.mtime)} {_printable(where)}")


@command.command()
@click.argument("path", metavar="SNAPSHOT/PATH")
@click.pass_obj
def cat(place: _Place, path: str) -> None:
    """Write a file of a snapshot to standard output."""
    with place.open() as repository:
        entry = _find(repository, path)
        if entry.type == directory.DIRECTORY:
            raise errors.UsageError(f"{path!r} is a folder")
        for chunk in repository.objects.stream(ids.ObjectID.parse(entry.object_id)):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


@command.command()
@click.argument("path", type=click.Path(exists=True, file_okay=False, resolve_path=True))
@click.option("--description", default="", help="Free text for the snapshot.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Label of the snapshot; may be repeated.")
@_OUTPUT
@click.pass_obj
def backup(place: _Place, path: str, description: str, tags: tuple[str, ...], output: str) -> None:
    """Back a folder up; files unchanged since its last snapshot are not read again."""
    counters, canceled = progress.Progress(), threading.Event()
    source = snapshot_manifest.Source(socket.gethostname().lower(), getpass.getuser(), path)
    labels = {f"tag:{key}": value for key, value in parse_tags(tags).items()}  # as kopia's own CLI
    with place.open() as repository, _cancelable(canceled):
        complete = [
            snapshot
            for snapshot in snapshot_manifest.list_snapshots(repository.manifests, source)
            if not snapshot.incomplete
        ]
        threading.Thread(target=upload.scan, args=(path, counters, canceled), daemon=True).start()
        uploader = upload.Uploader(repository, progress=counters, canceled=canceled)
        with _bar("backing up", counters):
            snapshot = uploader.upload(
                path, source, parent=complete[-1] if complete else None, description=description, tags=labels
            )
        stored = repository.contents.statistics.stored_bytes
    summary = snapshot.root_entry.summary or directory.Summary()
    if output == "json":
        terminal.show_json({**_snapshot_json(snapshot), "bytesRead": counters.bytes_read, "bytesStored": stored})
        return
    click.echo(
        f"snapshot {snapshot.manifest_id}: {summary.files} files, {terminal.human_bytes(summary.size)}; "
        f"read {terminal.human_bytes(counters.bytes_read)}, stored {terminal.human_bytes(stored)}"
    )


@command.command(name="restore")
@click.argument("path", metavar="SNAPSHOT[/PATH]")
@click.argument("target", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Allow a target that is not empty; replace files of the same name.")
@click.option("--write-sparse-files", is_flag=True, help="Leave blocks of zeros unwritten.")
@_OUTPUT
@click.pass_obj
def restore_command(
    place: _Place, path: str, target: str, overwrite: bool, write_sparse_files: bool, output: str
) -> None:
    """Restore a snapshot, or one folder or file of it, to TARGET; a file is restored into the folder TARGET."""
    counters, canceled = progress.Progress(), threading.Event()
    with place.open() as repository, _cancelable(canceled):
        entry = _find(repository, path)
        with contextlib.closing(RestoreTarget(target, overwrite=overwrite, sparse=write_sparse_files)) as opened:
            restorer = restore.Restorer(repository, opened, progress=counters, canceled=canceled)
            with _bar("restoring", counters):
                result = restorer.restore(entry)
    if output == "json":
        terminal.show_json(dataclasses.asdict(result))
        return
    click.echo(
        f"restored {result.files} files, {result.directories} folders, {result.symlinks} links, "
        f"{terminal.human_bytes(result.bytes_written)} to {target}"
    )
    if result.attributes_not_restored:
        click.echo(
            f"warning: {result.attributes_not_restored} owners, modes, times or names are not as they were",
            err=True,
        )


def _bar(what: str, counters: progress.Progress) -> contextlib.AbstractContextManager[None]:
    return terminal.bar(what, lambda: (counters.bytes_read + counters.bytes_reused, counters.total_bytes))


def _find(repository: kopia_repository.Repository, path: str) -> directory.DirectoryEntry:
    name, _, rest = path.partition("/")
    snapshot = snapshot_manifest.find_snapshot(repository.manifests, name)
    return restore.find_entry(repository, snapshot.root_entry, rest)


def _entries(
    repository: kopia_repository.Repository, entry: directory.DirectoryEntry, recursive: bool
) -> Iterator[tuple[str, directory.DirectoryEntry]]:
    if entry.type != directory.DIRECTORY:
        yield entry.name, entry
        return
    stack = [("", entry)]
    while stack:
        path, parent = stack.pop()
        for child in directory.read_directory(repository.objects, parent.object_id):
            where = f"{path}/{child.name}" if path else child.name
            yield where, child
            if recursive and child.type == directory.DIRECTORY:
                stack.append((where, child))


@contextlib.contextmanager
def _cancelable(canceled: threading.Event) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM stop the work in an orderly way instead of in the middle of a call."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: canceled.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _show_status(repository: kopia_repository.Repository, output: str) -> None:
    parameters = repository.format.parameters
    found = snapshot_manifest.list_snapshots(repository.manifests)
    values: dict[str, Any] = {
        "location": repository.storage.display_name,
        "uniqueID": base64.b64encode(repository.format.unique_id).decode(),
        "formatVersion": parameters.version,
        "hash": parameters.hash,
        "encryption": parameters.encryption,
        "splitter": parameters.splitter,
        "contents": repository.contents.count(),
        "snapshots": len(found),
        "latestSnapshot": found[-1].manifest_id if found else "",
    }
    if output == "json":
        terminal.show_json(values)
        return
    for key, value in values.items():
        click.echo(f"{key + ':':<16} {value}")


def _snapshot_json(snapshot: snapshot_manifest.Snapshot) -> dict[str, Any]:
    data = snapshot.to_json()
    data["source"] = {key: _printable(value) for key, value in data["source"].items()}
    return {**data, "id": snapshot.manifest_id, "rootEntry": _entry_json(snapshot.root_entry)}


def _entry_json(entry: directory.DirectoryEntry) -> dict[str, Any]:
    return {**entry.to_json(), "name": _printable(entry.name)}


def _printable(name: str) -> str:
    """Makes a name safe to print: bytes that are not UTF-8 and control characters are escaped."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _local_time(nanoseconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(nanoseconds / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return go_json.format_time(nanoseconds)

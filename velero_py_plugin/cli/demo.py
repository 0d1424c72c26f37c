"""``velero-py demo``: the main job on this machine."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from velero_py_plugin import errors

try:
    from velero_py_plugin.demo import run as demo
except ModuleNotFoundError as missing:
    raise errors.UsageError(f"the demo needs {missing.name}: install velero-py-plugin[demo]") from missing


@click.command(name="demo")
@click.option(
    "--keep",
    is_flag=False,
    flag_value="velero-py-demo-repository",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="[FOLDER]",
    help="Leave the repository in FOLDER and say how to open it with kopia.  [FOLDER: velero-py-demo-repository]",
)
@click.option("--verbose", is_flag=True, help="Show what Velero does step by step.")
def command(keep: Path | None, verbose: bool) -> None:
    """Back up, destroy and restore a volume on this machine.

    Starts an embedded Kubernetes API and a real S3 server on loopback, calls the installed plugin executable as Velero
    does, moves a volume of some 3,500 files and 350 MB to a repository and back, and compares.

    \b
    Examples:
      velero-py demo
      velero-py demo --verbose
      velero-py demo --keep
    """
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise errors.UsageError(f"the folder {str(keep)!r} is not empty")
    logging.getLogger("velero_py_plugin").setLevel(logging.WARNING)
    demo.run(keep=keep, verbose=verbose)

"""The command line ``velero-py``. Each command's modules are loaded when it runs, so that help stays quick."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Final

import click

import velero_py_plugin
from velero_py_plugin import errors
from velero_py_plugin.api.mover import ExitCode

_COMMANDS: Final = {
    "controller": ("velero_py_plugin.cli.controller", "Fulfil DataUpload and DataDownload objects in a cluster."),
    "demo": ("velero_py_plugin.cli.demo", "Back up, destroy and restore a volume on this machine."),
    "mover": ("velero_py_plugin.cli.mover", "Move one volume and exit; started by the controller."),
    "repo": ("velero_py_plugin.cli.repo", "Work with a repository without Velero."),
}


class _LazyGroup(click.Group):
    """Imports a command when it is used; the list of commands needs no import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(velero_py_plugin.__version__, prog_name="velero-py")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="How much to log to standard error.",
)
def command(log_level: str) -> None:
    """Velero's data mover in Python: volumes into Kopia repositories and back.

    \b
    Examples:
      velero-py demo
      velero-py repo --repository file:///backup --password-file pw create
      velero-py repo --repository file:///backup --password-file pw restore latest /restored
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 wrong usage, 75 failed for now, 130 interrupted."""
    try:
        sys.exit(command.main(args=arguments, prog_name="velero-py", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except errors.Error as error:
        click.echo(f"Error: {error} [{error.reason}]", err=True)
        if isinstance(error, errors.UsageError):
            sys.exit(ExitCode.USAGE)
        sys.exit(ExitCode.TEMPORARY if isinstance(error, errors.TemporaryError) else ExitCode.FAILED)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(ExitCode.FAILED)

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import velero_py_plugin
from tests.unit.cli.conftest import Run
from velero_py_plugin import cli, errors
from velero_py_plugin.kopia import errors as kopia_errors

COMMANDS = [
    ("repo",),
    *[("repo", name) for name in ("create", "status", "snapshots", "ls", "cat", "backup", "restore")],
    ("mover",),
    ("mover", "backup"),
    ("mover", "restore"),
]


def test_help_lists_the_commands_and_shows_examples(velero_py: Run) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        shown = velero_py(*arguments)
        for word in ("controller", "demo", "mover", "repo", "velero-py repo --repository file:///backup"):
            assert word in shown.out + shown.err


def test_help_needs_no_repository_library() -> None:
    code = (
        "import sys\n"
        "from velero_py_plugin import cli\n"
        "try:\n    cli.main(['--help'])\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "print([name for name in sys.modules if name.startswith('velero_py_plugin.kopia') or name == 'numpy'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(velero_py: Run, words: tuple[str, ...]) -> None:
    place = ("--repository", "file:///x", "--password-file", "/x") if words[0] == "repo" and len(words) > 1 else ()
    shown = velero_py(words[0], *place, *words[1:], "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: velero-py {words[0]}")
    description = shown.out.split("\n\n")[1].strip()
    assert description.endswith(".")
    if words == ("repo",) or (words[0] == "mover" and len(words) > 1):
        assert re.search(rf"Examples?:\n +velero-py {words[0]} ", shown.out)


def test_the_version(velero_py: Run) -> None:
    assert velero_py("--version").out == f"velero-py, version {velero_py_plugin.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("repo", "--nonsense"),
        ("repo", "status"),
        ("repo", "--repository", "file:///x", "status"),
        ("mover", "backup", "--repository", "file:///x"),
        ("--log-level", "loud", "repo"),
        ("repo", "--repository", "file:///x", "--password-file", "/x", "status", "-o", "yaml"),
    ],
    ids=" ".join,
)
def test_wrong_words_end_with_2_and_say_what_is_wrong(velero_py: Run, arguments: tuple[str, ...]) -> None:
    ended = velero_py(*arguments)
    assert ended.code == 2
    assert "Error: " in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("wrong word"), 2),
        (kopia_errors.WrongPasswordError("wrong word"), 1),
        (kopia_errors.StorageUnavailableError("wrong word"), 75),
    ],
)
def test_every_kind_of_error_has_its_exit_code(
    velero_py: Run, monkeypatch: pytest.MonkeyPatch, error: errors.Error, code: int
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setitem(cli.command.commands, "repo", fail)
    monkeypatch.setattr(cli._LazyGroup, "get_command", lambda self, ctx, name: fail)
    ended = velero_py("repo")
    assert (ended.code, ended.err) == (code, f"Error: wrong word [{error.reason}]\n")


def test_an_interrupt_ends_with_130(velero_py: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli._LazyGroup, "get_command", lambda self, ctx, name: interrupted)
    assert velero_py("repo").code == 130


def test_a_reader_that_went_away_is_no_crash(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m velero_py_plugin.cli --help | true; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() in ("0", "1")  # the help may have been written before the reader went


def test_the_module_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "velero_py_plugin.cli", "--version"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("velero-py, version ")

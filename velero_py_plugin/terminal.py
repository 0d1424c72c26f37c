"""How programs of this project show data: tables for people, JSON for programs, progress bars on a terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
import orjson
from rich import console, progress


def show_json(value: Any) -> None:
    """Prints a value as indented JSON."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[str] = frozenset()) -> None:
    """Prints rows under headings, whole whatever the terminal's width; columns named in ``right`` align right."""
    widths = [max(len(cell) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def human_bytes(count: float) -> str:
    """Writes a number of bytes with a decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextlib.contextmanager
def bar(what: str, read: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Shows a bar of bytes on standard error while the block runs, when that is a terminal.

    Args:
        what: Text before the bar.
        read: Returns bytes done and bytes altogether.
    """
    screen = console.Console(stderr=True)
    if not screen.is_terminal:
        yield
        return
    shown = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=screen,
        transient=True,
    )
    ended = threading.Event()
    with shown:
        task = shown.add_task(what, total=None)

        def update() -> None:
            while not ended.wait(0.2):
                done, total = read()
                shown.update(task, completed=done, total=max(done, total) or None)

        thread = threading.Thread(target=update, name="progress-bar", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

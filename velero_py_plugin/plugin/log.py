"""Log lines as Velero reads them: one JSON object per line on standard error, every value a string.

Velero turns some fields into strings without checking and dies when they are not (``@message``, ``@level``,
``@timestamp`` always; ``name``, ``namespace``, ``resource`` during a backup), shows whatever is not a JSON object only
at debug level, and reads at most 64 KiB as one line. During a backup it counts ``warn`` and ``error`` lines, and one
``error`` line makes the backup PartiallyFailed: log at that level only what should.

Sources: hashicorp/go-plugin v1.6.0 ``log_entry.go``, ``client.go``; velero v1.18.1
``pkg/plugin/clientmgmt/process/logrus_adapter.go``, ``pkg/plugin/framework/logger.go``,
``pkg/util/logging/log_counter_hook.go``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Mapping
from typing import Final, TextIO

MAX_LINE_BYTES: Final = 60_000
"""Stays below the 64 KiB buffer of the host's line reader."""
MAX_VALUE_BYTES: Final = 16_000
"""One value, as it stands in the JSON text."""
MAX_NAME_CHARACTERS: Final = 200
CLIPPED: Final = "... (clipped)"

_TAKEN: Final = frozenset({"cmd", "pluginName", "msg", "time", "timestamp", "level", "logSource"})
"""Field names that Velero's log drops, overwrites or clashes with; logrus' own prefix makes them usable."""
_RECORD_ATTRIBUTES: Final = frozenset(
    (*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime", "taskName")
)

logger = logging.getLogger(__name__)


def log_line(level: str, message: object, source: str, fields: Mapping[str, object]) -> bytes:
    """Encodes one log line, whatever the values are.

    Args:
        level: ``debug``, ``info``, ``warn`` or ``error``.
        message: What happened.
        source: ``file:line`` of the code that says so.
        fields: More facts; what does not fit into the line is left out, last first.

    Returns:
        At most ``MAX_LINE_BYTES`` bytes of ASCII, one newline at the end and none before it.
    """
    fixed = {"@level": level, "@message": message, "@logSourceSetBy": "plugin", "logSource": source}
    members = [f"{_json_string(key)}:{_json_string(value)}" for key, value in fixed.items()]
    room = MAX_LINE_BYTES - len(",".join(members)) - len("{}\n")
    for key, value in fields.items():
        name = _text(key)[:MAX_NAME_CHARACTERS]
        if name in _TAKEN or name.startswith("@"):
            name = f"fields.{name}"
        member = f"{_json_string(name)}:{_json_string(value)}"
        room -= len(member) + 1
        if room < 0:
            break
        members.append(member)
    return f"{{{','.join(members)}}}\n".encode("ascii")


def _json_string(value: object) -> str:
    text = _text(value)
    kept = min(len(text), MAX_VALUE_BYTES)
    while len(encoded := json.dumps(text[:kept])) > MAX_VALUE_BYTES:  # one character takes up to twelve bytes
        kept //= 2
    return encoded if kept == len(text) else json.dumps(text[:kept] + CLIPPED)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a log line must not fail because of the thing it is about
        return f"<{type(value).__name__} that cannot be shown>"


class LogStream:
    """Writes whole log lines to a file descriptor, from any thread.

    Args:
        fd: Where the host reads log lines.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def write(self, level: str, message: object, source: str, fields: Mapping[str, object]) -> None:
        """Writes one line; see ``log_line``. A host that is gone reads nothing and is not worth an error."""
        rest = memoryview(log_line(level, message, source, fields))
        with self._lock, contextlib.suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._fd, rest) :]


class JSONHandler(logging.Handler):
    """Brings the records of the ``logging`` module into a log stream.

    What is passed as ``extra`` becomes fields; an exception becomes ``error``, ``error.file``, ``error.function`` and
    ``traceback``.
    """

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - wrong arguments must neither raise nor lose what was to be said
            message = f"{_text(record.msg)} (its arguments do not fit: {_text(error)})"
        fields: dict[str, object] = {key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES}
        if record.exc_info and record.exc_info[1]:
            fields = {**exception_fields(record.exc_info[1]), **fields}
        self._stream.write(_level_name(record.levelno), message, f"{record.pathname}:{record.lineno}", fields)


def _level_name(number: int) -> str:
    """Velero shows a level it does not know, ``warning`` and ``critical`` among them, as debug."""
    for least, name in ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info")):
        if number >= least:
            return name
    return "debug"


def exception_fields(error: BaseException) -> dict[str, object]:
    """What a log line says about an exception."""
    fields: dict[str, object] = {"error": _text(error) or type(error).__name__}
    frames = list(traceback.walk_tb(error.__traceback__))
    if frames:
        frame, line = frames[-1]
        fields["error.file"] = f"{frame.f_code.co_filename}:{line}"
        fields["error.function"] = frame.f_code.co_qualname
    fields["traceback"] = "".join(traceback.format_exception(error))
    return fields


def send_everything_to(stream: LogStream, level: int) -> None:
    """Sends whatever this process has to say to a log stream, from now on.

    That is the root logger's records, exceptions nobody caught (in the main thread, in other threads, in destructors),
    and Python's warnings; these at info level, because they are about code and no reason to doubt a backup.

    Args:
        stream: Where to.
        level: Lowest level to log, as the ``logging`` module numbers them.
    """

    def warned(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001 - part of the hook's signature
        line: str | None = None,  # noqa: ARG001 - part of the hook's signature
    ) -> None:
        stream.write("info", message, f"{filename}:{lineno}", {"category": category.__name__})

    root = logging.getLogger()
    root.handlers = [JSONHandler(stream)]
    root.setLevel(level)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = warned


def _uncaught(_type: type[BaseException], error: BaseException, _traceback: types.TracebackType | None) -> None:
    logger.error("uncaught exception", exc_info=error)


def _uncaught_in_thread(hook: threading.ExceptHookArgs) -> None:
    logger.error("uncaught exception in thread %s", hook.thread and hook.thread.name, exc_info=hook.exc_value)


def _unraisable(hook: sys.UnraisableHookArgs) -> None:
    logger.error(hook.err_msg or "exception that nobody can catch", exc_info=hook.exc_value)

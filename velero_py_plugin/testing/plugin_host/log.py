"""What Velero makes of a plugin's standard error, line by line.

Follows hashicorp/go-plugin v1.7.0 ``client.go`` (``logStderr``) and ``log_entry.go``, and velero v1.18.3
``pkg/plugin/clientmgmt/process/logrus_adapter.go`` and ``pkg/util/logging``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Final

LINE_BUFFER_BYTES: Final = 64 * 1024
"""How much of a line Velero reads at once; the rest comes as a line of its own."""

_LEVELS: Final = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warn", "error": "error"}
_PREFIXES: Final = {f"[{name.upper()}]": level for name, level in _LEVELS.items()}
_CRASH_PREFIXES: Final = ("panic: ", "fatal error: ")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_DROPPED: Final = ("time", "timestamp", "level")
_COUNTED_FIELDS: Final = ("name", "namespace", "resource")


@dataclasses.dataclass(frozen=True)
class LogLine:
    """One line of a plugin, as Velero logs it.

    Attributes:
        level: ``debug``, ``info``, ``warn`` or ``error``. During a backup Velero counts the last two.
        message: The text.
        fields: The other members of a JSON line, as Velero keeps them.
        raw: What the plugin wrote, at most 64 KiB of it, without the newline.
        structured: Whether Velero understood it as a JSON log line.
        fatal: Why the Velero server dies when it reads this; empty when it does not.
        fatal_during_backup: Why it dies if a backup is running and its log level lets the line pass.
    """

    level: str
    message: str
    fields: Mapping[str, Any]
    raw: str
    structured: bool = True
    fatal: str = ""
    fatal_during_backup: str = ""


class LogReader:
    """Reads the standard error of one plugin process."""

    def __init__(self) -> None:
        self._continued = False
        self._crashed = False

    def read(self, chunk: bytes) -> LogLine:
        """Interprets what one read of the line reader yields.

        Args:
            chunk: A line with its newline, or the first or a later ``LINE_BUFFER_BYTES`` of a longer one, or what came
                last before the end.
        """
        whole = chunk.endswith(b"\n") or len(chunk) < LINE_BUFFER_BYTES
        part_of_long_line = self._continued or not whole
        self._continued = not whole
        raw = chunk.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
        if part_of_long_line:
            return LogLine("debug", raw, {}, raw, structured=False)
        try:
            members = json.loads(raw, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return self._plain(raw)
        if members is None:
            members = {}
        if not isinstance(members, dict):
            return self._plain(raw)
        return self._structured(members, raw)

    def _structured(self, members: dict[str, Any], raw: str) -> LogLine:
        for key in ("@message", "@level", "@timestamp"):
            if key in members and not isinstance(members[key], str):
                return LogLine("error", raw, {}, raw, structured=False, fatal=f"{key} is not a string")
        if "@timestamp" in members and not _TIMESTAMP.fullmatch(members["@timestamp"]):
            return self._plain(raw)
        level = _LEVELS.get(members.get("@level", "").strip().lower())
        if level is None:
            return LogLine("debug", raw, {}, raw, structured=False)
        fields = {key: value for key, value in members.items() if key not in _DROPPED and not key.startswith("@")}
        if not members.get("@logSourceSetBy"):
            fields.pop("logSource", None)
        wrong = [key for key in _COUNTED_FIELDS if key in fields and not isinstance(fields[key], str)]
        return LogLine(
            level,
            members.get("@message", ""),
            fields,
            raw,
            fatal_during_backup=f"{wrong[0]} is not a string" if wrong else "",
        )

    def _plain(self, raw: str) -> LogLine:
        for prefix, level in _PREFIXES.items():
            if raw.startswith(prefix):
                return LogLine(level, raw, {}, raw, structured=False)
        self._crashed = self._crashed or raw.startswith(_CRASH_PREFIXES)
        return LogLine("error" if self._crashed else "debug", raw, {}, raw, structured=False)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

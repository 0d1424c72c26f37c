"""The command line of a plugin: what Velero's own server was started with.

Velero <= 1.14 passes ``--log-level L`` and, with features, ``--features A,B``; Velero >= 1.15 passes everything that
followed ``velero server``, in the operator's spelling (velero v1.14.1 and v1.18.1
``pkg/plugin/clientmgmt/process/client_builder.go``). So nothing here can be wrong:
what is not understood is meant for somebody else.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Final

_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}


@dataclasses.dataclass(frozen=True)
class Flags:
    """The server's flags that concern a plugin.

    Attributes:
        log_level: Lowest level to log, as the ``logging`` module numbers them.
        features: Names of the enabled Velero features, such as ``EnableCSI``.
    """

    log_level: int = logging.INFO
    features: tuple[str, ...] = ()


def parse_flags(arguments: Sequence[str]) -> Flags:
    """Picks ``--log-level`` and ``--features`` out of a server's arguments.

    Both ``--flag value`` and ``--flag=value`` count, the last one wins, and a bare ``--`` ends the flags, as in
    Velero's own parser. Unknown flags, leftover words and unknown levels are ignored.

    Args:
        arguments: The command line without the program's name.
    """
    values = {"--log-level": "info", "--features": ""}
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in values:
            values[name] = value if equals else next(words, values[name])
    features = tuple(name for name in values["--features"].split(",") if name)
    return Flags(_LEVELS.get(values["--log-level"].lower(), logging.INFO), features)

"""The cookie a host proves itself with, and the one line a plugin answers on standard output.

Source: hashicorp/go-plugin v1.6.0 ``server.go``, ``client.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CORE_PROTOCOL_VERSION: Final = 1


def cookie_matches(environ: Mapping[str, str], key: str, value: str) -> bool:
    """Tells a plugin host, which sets the cookie, from a person who ran the program by hand.

    Args:
        environ: The process environment.
        key: Name of the variable that holds the cookie.
        value: What the cookie must be.
    """
    return environ.get(key) == value


def handshake_line(protocol_version: int, socket_path: str) -> bytes:
    """The first and only line on standard output.

    Args:
        protocol_version: Version of the application's own protocol. A process that serves one version announces it
            whatever ``PLUGIN_PROTOCOL_VERSIONS`` offers; a host that does not know it says so.
        socket_path: Unix socket on which the plugin already accepts connections.
    """
    return f"{CORE_PROTOCOL_VERSION}|{protocol_version}|unix|{socket_path}|grpc\n".encode()

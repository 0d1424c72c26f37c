"""What Velero reads out of a plugin's handshake line.

Source: hashicorp/go-plugin v1.7.0 ``client.go`` ``Start``.
"""

from __future__ import annotations

from typing import Final

from velero_py_plugin.plugin.goplugin.handshake import CORE_PROTOCOL_VERSION
from velero_py_plugin.plugin.serve import PROTOCOL_VERSION
from velero_py_plugin.testing.plugin_host.errors import PluginStartError

DEFAULT_PROTOCOL: Final = "netrpc"
"""What a line without a fifth field means."""


def parse_handshake(line: str) -> str:
    """Turns a handshake line into the address to connect to.

    Args:
        line: The first line the plugin wrote to standard output.

    Returns:
        A gRPC target: ``unix:PATH`` or ``HOST:PORT``.

    Raises:
        PluginStartError: Velero would refuse the line, with a text that begins like this error's.
    """
    fields = line.strip().split("|")
    if len(fields) < 4:
        raise PluginStartError(f"unrecognized remote plugin message: {line}")
    core, version, network, address = fields[:4]
    if not _is_number(core, CORE_PROTOCOL_VERSION):
        raise PluginStartError(f"incompatible core API version with plugin: {core}, not {CORE_PROTOCOL_VERSION}")
    if not _is_number(version, PROTOCOL_VERSION):
        raise PluginStartError(f"incompatible API version with plugin: {version}, not {PROTOCOL_VERSION}")
    if network not in ("unix", "tcp"):
        raise PluginStartError(f"unknown address type: {network}")
    protocol = fields[4] if len(fields) > 4 else DEFAULT_PROTOCOL
    if protocol != "grpc":
        raise PluginStartError(f'unsupported plugin protocol "{protocol}"; Velero speaks grpc only')
    return f"unix:{address}" if network == "unix" else address


def _is_number(text: str, number: int) -> bool:
    try:
        return int(text) == number
    except ValueError:
        return False

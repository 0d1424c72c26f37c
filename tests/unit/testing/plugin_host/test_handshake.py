from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.testing.plugin_host.errors import PluginStartError
from velero_py_plugin.testing.plugin_host.handshake import parse_handshake


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("1|2|unix|/tmp/s|grpc\n", "unix:/tmp/s"),
        ("1|2|unix|/tmp/s|grpc|", "unix:/tmp/s"),
        ("  1|2|unix|/tmp/s|grpc||true \n", "unix:/tmp/s"),
        ("1|2|tcp|127.0.0.1:10000|grpc", "127.0.0.1:10000"),
    ],
)
def test_what_velero_accepts(line: str, target: str) -> None:
    assert parse_handshake(line) == target


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "unrecognized remote plugin message"),
        ("loading ...", "unrecognized remote plugin message: loading"),
        ("1|2|unix", "unrecognized remote plugin message"),
        ("2|2|unix|/s|grpc", "incompatible core API version"),
        ("one|2|unix|/s|grpc", "incompatible core API version"),
        ("1|3|unix|/s|grpc", "incompatible API version"),
        ("1||unix|/s|grpc", "incompatible API version"),
        ("1|2|unixgram|/s|grpc", "unknown address type"),
        ("1|2|unix|/s", 'unsupported plugin protocol "netrpc"'),
        ("1|2|unix|/s|", 'unsupported plugin protocol ""'),
    ],
)
def test_what_velero_refuses(line: str, text: str) -> None:
    with pytest.raises(PluginStartError, match=text):
        parse_handshake(line)


@given(st.text() | st.from_regex(r"1\|2\|[a-z]*\|[^\n]*"))
def test_garbage_is_one_error(line: str) -> None:
    try:
        target = parse_handshake(line)
    except PluginStartError:
        return
    assert target

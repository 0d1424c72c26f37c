from __future__ import annotations

import pytest

from velero_py_plugin.plugin.goplugin.handshake import cookie_matches, handshake_line


@pytest.mark.parametrize(
    ("environ", "matches"),
    [({"K": "v"}, True), ({"K": "v", "X": "y"}, True), ({"K": "V"}, False), ({"K": ""}, False), ({}, False)],
)
def test_the_cookie_must_be_exact(environ: dict[str, str], matches: bool) -> None:
    assert cookie_matches(environ, "K", "v") is matches


def test_the_line_byte_for_byte() -> None:
    assert handshake_line(2, "/tmp/plugin1/socket") == b"1|2|unix|/tmp/plugin1/socket|grpc\n"

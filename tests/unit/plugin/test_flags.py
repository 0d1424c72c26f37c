from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.plugin.flags import Flags, parse_flags


@pytest.mark.parametrize(
    ("command_line", "expected"),
    [
        ("", Flags(logging.INFO, ())),
        ("--log-level warning", Flags(logging.WARNING, ())),
        ("--log-level debug --features EnableCSI,X", Flags(logging.DEBUG, ("EnableCSI", "X"))),
        ("--log-level=trace --features=", Flags(logging.DEBUG, ())),
        (
            "--features=EnableCSI --uploader-type=kopia --restore-only -v 4 --namespace ns",
            Flags(logging.INFO, ("EnableCSI",)),
        ),
        ("--features A --default-backup-ttl 1h --features B,C", Flags(logging.INFO, ("B", "C"))),
        ("--log-level=ERROR leftover words", Flags(logging.ERROR, ())),
        ("--log-level=panic", Flags(logging.CRITICAL, ())),
        ("--log-level=loud", Flags(logging.INFO, ())),
        ("--log-levels=debug --log debug -log-level=debug", Flags(logging.INFO, ())),
        ("--restore-only --log-level", Flags(logging.INFO, ())),
        ("--features=X -- --log-level=debug", Flags(logging.INFO, ("X",))),
    ],
)
def test_what_velero_passes(command_line: str, expected: Flags) -> None:
    assert parse_flags(command_line.split()) == expected


@given(st.lists(st.text() | st.sampled_from(["--log-level", "--features", "--log-level=", "--features=,"])))
def test_no_command_line_is_an_error(arguments: list[str]) -> None:
    assert parse_flags(arguments).log_level in range(logging.DEBUG, logging.CRITICAL + 1)


NOISE = st.lists(st.sampled_from(["--restore-only", "--uploader-type=kopia", "-v", "4", "word", "--x"]))


@given(NOISE, NOISE, NOISE)
def test_unknown_arguments_change_nothing_wherever_they_stand(one: list[str], two: list[str], three: list[str]) -> None:
    arguments = [*one, "--log-level", "error", *two, "--features=A,B", *three]
    assert parse_flags(arguments) == Flags(logging.ERROR, ("A", "B"))

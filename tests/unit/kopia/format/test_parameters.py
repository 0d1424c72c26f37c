from __future__ import annotations

import contextlib
import copy
import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kopia.sample import PARAMETERS
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.format.parameters import EpochParameters, FormatParameters

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
HOUR = 3_600_000_000_000
LOCK = {
    "ownerID": "root@host",
    "creationTime": "2026-11-21T11:00:00.123456789Z",
    "advanceNoticeDuration": 0,
    "ioDrainTimeout": HOUR // 4,
    "statusPollInterval": HOUR // 60,
    "message": "upgrading",
    "maxPermittedClockDrift": HOUR // 12,
}
#: As kopia v0.23.1 printed it, with the sample's keys put in.
KOPIA_BLOCK = (
    b'{"hash":"BLAKE2B-256-128","encryption":"AES256-GCM-HMAC-SHA256",'
    b'"secret":"QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=","masterKey":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",'
    b'"version":3,"maxPackSize":20971520,"indexVersion":2,'
    b'"epochParameters":{"Enabled":true,"EpochRefreshFrequency":1200000000000,"FullCheckpointFrequency":7,'
    b'"CleanupSafetyMargin":14400000000000,"MinEpochDuration":86400000000000,"EpochAdvanceOnCountThreshold":20,'
    b'"EpochAdvanceOnTotalSizeBytesThreshold":10485760,"DeleteParallelism":4},'
    b'"enablePasswordChange":true,"splitter":"DYNAMIC-128K-BUZHASH"}'
)


def block(**changes: Any) -> dict[str, Any]:
    """The block as JSON with fields changed; None removes one."""
    value = {**json.loads(KOPIA_BLOCK), **changes}
    return {key: field for key, field in value.items() if field is not None}


def read(**changes: Any) -> FormatParameters:
    return FormatParameters.from_json(block(**changes), NOW)


def test_the_block_is_written_as_kopia_writes_it() -> None:
    assert go_json.dumps(PARAMETERS.to_json()) == KOPIA_BLOCK
    assert read() == PARAMETERS


def test_new_parameters_are_velero_s_with_keys_of_their_own() -> None:
    first, second = FormatParameters(), FormatParameters()
    assert (first.hash, first.encryption) == ("BLAKE2B-256-128", "AES256-GCM-HMAC-SHA256")
    assert (first.splitter, first.version, first.index_version) == ("DYNAMIC-4M-BUZHASH", 3, 2)
    assert len(first.secret) == len(first.master_key) == 32
    assert len({first.secret, first.master_key, second.secret, second.master_key}) == 4


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(PARAMETERS)
    assert "master_key" not in repr(PARAMETERS)


def test_what_is_absent_has_kopia_s_zero_values() -> None:
    parameters = read(maxPackSize=None, splitter=None)
    assert parameters.max_pack_size == 20 << 20
    assert parameters.splitter == ""
    assert EpochParameters.from_json({}) == EpochParameters(False, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("version", [2, 3])
def test_supported_versions(version: int) -> None:
    assert read(version=version).version == version


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"version": 1, "indexVersion": None, "epochParameters": None},
            "format version 1, index version 1 and epochs off",
        ),
        ({"version": 4}, "format version 4"),
        ({"version": 0}, "format version 0"),
        ({"indexVersion": 1}, "index version 1"),
        ({"indexVersion": 3}, "index version 3"),
        ({"epochParameters": {"Enabled": False}}, "epochs off"),
        ({"ecc": "REED-SOLOMON-CRC32", "eccOverheadPercent": 2}, "error correction"),
    ],
)
def test_unsupported_repositories_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match=message):
        read(**changes)


def test_error_correction_of_no_overhead_is_none() -> None:
    assert read(ecc="REED-SOLOMON-CRC32").ecc == ""
    assert read(ecc="REED-SOLOMON-CRC32", eccOverheadPercent=0).ecc == ""


def test_known_required_features_are_accepted() -> None:
    read(requiredFeatures=[{"feature": "index-v1"}, {"feature": "index-v2", "ifNotUnderstood": {"warn": False}}])


def test_an_unknown_required_feature_is_refused_with_its_message() -> None:
    reaction = {"warn": False, "message": "Upgrade to 0.99."}
    with pytest.raises(errors.UnsupportedFormatError, match=r"'quantum', which is not supported\. Upgrade to 0\.99\."):
        read(requiredFeatures=[{"feature": "quantum", "ifNotUnderstood": reaction}])
    with pytest.raises(errors.UnsupportedFormatError, match="'quantum'"):
        read(requiredFeatures=[{"feature": "quantum"}])


def test_an_unknown_feature_that_only_warns_is_accepted() -> None:
    read(requiredFeatures=[{"feature": "quantum", "ifNotUnderstood": {"warn": True}}])


@pytest.mark.parametrize(
    ("changes", "locked"),
    [
        ({}, True),  # no notice: at once
        ({"advanceNoticeDuration": 2 * HOUR}, False),  # drains from 12:25 on
        ({"advanceNoticeDuration": HOUR + HOUR // 2}, True),  # has drained since 11:55
        ({"advanceNoticeDuration": HOUR // 4}, True),  # less notice than draining takes
        ({"advanceNoticeDuration": 24 * HOUR, "creationTime": "2026-11-19T00:00:00Z"}, True),  # never ended
        ({"advanceNoticeDuration": 2 * HOUR, "creationTime": "2026-11-21T12:00:00+01:00"}, False),
        ({"advanceNoticeDuration": 2 * HOUR, "creationTime": "2026-11-21T12:00:00+02:00"}, True),
    ],
)
def test_a_repository_under_upgrade_is_left_alone(changes: dict[str, Any], locked: bool) -> None:
    lock = {**LOCK, **changes}
    if not locked:
        read(upgradeLock=lock)
        return
    with pytest.raises(errors.RepositoryLockedError, match="'root@host'") as raised:
        read(upgradeLock=lock)
    assert raised.value.retry_after == 60


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([1e300, float("inf"), -1.5]) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=4,
)
FULL = block(
    requiredFeatures=[{"feature": "index-v2", "ifNotUnderstood": {"warn": False, "message": "x"}}],
    upgradeLock={**LOCK, "advanceNoticeDuration": 24 * HOUR},
    ecc="",
    eccOverheadPercent=0,
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below: list[tuple[str | int, ...]] = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            below += _places(value[key], (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            below += _places(item, (*path, i))
    return below


def test_the_full_block_reads() -> None:
    FormatParameters.from_json(FULL, NOW)


@given(st.lists(st.tuples(st.sampled_from(_places(FULL)), JSON), min_size=1, max_size=2))
def test_a_mutated_block_raises_only_documented_errors(mutations: list[tuple[tuple[str | int, ...], Any]]) -> None:
    value = copy.deepcopy(FULL)
    for path, replacement in mutations:
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier mutation removed the place
            _replace(value, path, replacement)
    try:
        FormatParameters.from_json(value, NOW)
    except (errors.RepositoryError, errors.RepositoryLockedError) as error:
        assert str(error)  # noqa: PT017 (a block may as well stay readable)


def _replace(parent: Any, path: tuple[str | int, ...], replacement: Any) -> None:
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = replacement

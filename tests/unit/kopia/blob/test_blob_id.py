from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import blob_id, sharding
from velero_py_plugin.testing import storage_contract


@pytest.mark.parametrize("name", storage_contract.BLOB_NAMES)
def test_kopias_names_are_accepted(name: str) -> None:
    blob_id.check_blob_id(name)


def test_the_error_shows_only_the_start_of_an_endless_name() -> None:
    with pytest.raises(errors.CorruptRepositoryError) as raised:
        blob_id.check_blob_id("/" * 10_000)
    assert len(str(raised.value)) < 200


@given(st.text(max_size=30), st.lists(st.integers(0, 4), max_size=4).map(tuple))
def test_an_accepted_name_never_leaves_the_folder(name: str, lengths: tuple[int, ...]) -> None:
    if not blob_id.is_blob_id(name):
        return
    parts = sharding.Sharding(lengths, 0).path(name).split("/")
    assert ".." not in parts
    assert "" not in parts
    assert not sharding.Sharding(lengths, 0).path(name).startswith("/")

from __future__ import annotations

import pytest

from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.testing.memory_storage import MemoryStorage
from velero_py_plugin.testing.storage_contract import StorageContract


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()


def test_the_clock_stamps_what_is_put() -> None:
    storage = MemoryStorage(lambda: 1000.5)
    storage.put("xe1", b"")
    storage.clock = lambda: 2000.0
    storage.put("xe2", b"")
    assert {blob.blob_id: blob.timestamp for blob in storage.list()} == {"xe1": 1000.5, "xe2": 2000.0}


def test_a_timestamp_can_be_changed() -> None:
    storage = MemoryStorage(lambda: 1000.0)
    storage.put("xe1", b"data")
    storage.set_timestamp("xe1", 5.0)
    assert storage.metadata("xe1").timestamp == 5.0
    assert storage.get("xe1") == b"data"

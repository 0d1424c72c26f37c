from __future__ import annotations

import base64
import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kopia.sample import PARAMETERS, UNIQUE_ID
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.format import format_blob, key_derivation
from velero_py_plugin.testing.memory_storage import MemoryStorage

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
PASSWORD = "static-passw0rd"
ALGORITHM = "scrypt-65536-8-1"


@pytest.fixture(scope="module")
def key() -> bytes:
    return key_derivation.format_key(PASSWORD, UNIQUE_ID, ALGORITHM)


@pytest.fixture
def storage(key: bytes) -> MemoryStorage:
    """A format blob as kopia lays it out."""
    storage = MemoryStorage()
    write(storage, key, go_json.dumps({"format": PARAMETERS.to_json()}))
    return storage


def write(storage: MemoryStorage, key: bytes, block: bytes, **changes: Any) -> None:
    document = {
        "tool": "https://github.com/kopia/kopia",
        "buildVersion": "0.23.1",
        "buildInfo": "",
        "uniqueID": base64.b64encode(UNIQUE_ID).decode(),
        "keyAlgo": ALGORITHM,
        "encryption": "AES256_GCM",
        "encryptedBlockFormat": base64.b64encode(key_derivation.seal_envelope(block, key, UNIQUE_ID)).decode(),
        **changes,
    }
    storage.put("kopia.repository", json.dumps({k: v for k, v in document.items() if v is not None}).encode())


def load(storage: MemoryStorage, password: str = PASSWORD) -> format_blob.Format:
    return format_blob.load(storage, password, NOW)


def test_what_is_created_loads() -> None:
    storage = MemoryStorage()
    created = format_blob.create(storage, PASSWORD, PARAMETERS)
    assert load(storage) == created == format_blob.Format(created.unique_id, PARAMETERS)
    assert len(created.unique_id) == 32


def test_the_created_blobs_look_like_kopia_s() -> None:
    storage = MemoryStorage()
    format_blob.create(storage, PASSWORD, PARAMETERS)
    text = storage.get("kopia.repository").decode()
    assert text.startswith('{\n  "tool": "https://github.com/kopia/kopia",\n  "buildVersion": ')
    assert text.endswith('"\n}\n')
    assert list(json.loads(text)) == [
        *("tool", "buildVersion", "buildInfo", "uniqueID", "keyAlgo", "encryption", "encryptedBlockFormat")
    ]
    assert json.loads(text)["keyAlgo"] == ALGORITHM
    assert len(storage.get("kopia.blobcfg")) == 30


class _OrderedStorage(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        self.order.append(blob_id)
        super().put(blob_id, data)


def test_the_format_blob_is_written_last_so_that_it_never_stands_alone() -> None:
    storage = _OrderedStorage()
    format_blob.create(storage, PASSWORD, PARAMETERS)
    assert storage.order == ["kopia.blobcfg", "kopia.repository"]


@pytest.mark.parametrize("name", ["kopia.repository", "kopia.blobcfg"])
def test_nothing_is_created_over_either_blob(name: str) -> None:
    storage = MemoryStorage()
    storage.put(name, b"x")
    with pytest.raises(errors.RepositoryExistsError, match=f"{name} exists"):
        format_blob.create(storage, PASSWORD, PARAMETERS)
    assert [blob.blob_id for blob in storage.list()] == [name]


def test_a_place_without_a_format_blob_is_no_repository() -> None:
    with pytest.raises(errors.RepositoryNotFoundError, match="no repository in memory"):
        load(MemoryStorage())


@pytest.mark.parametrize("password", ["", "static-passw0rd ", "Static-passw0rd"])
def test_a_wrong_password_is_named_as_such(storage: MemoryStorage, password: str) -> None:
    with pytest.raises(errors.WrongPasswordError, match="the password is wrong"):
        load(storage, password)


def test_the_maintenance_key_needs_no_password(storage: MemoryStorage) -> None:
    assert load(storage).maintenance_key().hex() == "327e5ba0d7687c8a777e26dddaccb1fc6bdcf0e21a7f753928633d8186db741f"


def test_retention_is_read(storage: MemoryStorage, key: bytes) -> None:
    config = b'{"retentionMode":"GOVERNANCE","retentionPeriod":86400000000000}'
    storage.put("kopia.blobcfg", key_derivation.seal_envelope(config, key, UNIQUE_ID))
    loaded = load(storage)
    assert (loaded.retention_mode, loaded.retention_period) == ("GOVERNANCE", 86_400_000_000_000)


@pytest.mark.parametrize("config", [b"{}", b'{"retentionMode":"","retentionPeriod":0}'])
def test_no_retention(storage: MemoryStorage, key: bytes, config: bytes) -> None:
    storage.put("kopia.blobcfg", key_derivation.seal_envelope(config, key, UNIQUE_ID))
    assert load(storage).retention_mode == ""


@pytest.mark.parametrize("config", [b"[]", b'{"retentionMode":1}', b'{"retentionPeriod":"1h"}', b"{"])
def test_a_damaged_retention_is_refused(storage: MemoryStorage, key: bytes, config: bytes) -> None:
    storage.put("kopia.blobcfg", key_derivation.seal_envelope(config, key, UNIQUE_ID))
    with pytest.raises(errors.CorruptRepositoryError, match=r"kopia\.blobcfg"):
        load(storage)


@pytest.mark.parametrize(
    "changes",
    [
        {"uniqueID": None},
        {"uniqueID": 5},
        {"uniqueID": "?"},
        {"uniqueID": "AAAA"},
        {"keyAlgo": None},
        {"encryption": None},
        {"encryptedBlockFormat": None},
        {"encryptedBlockFormat": {}},
        {"encryptedBlockFormat": "ä"},
    ],
)
def test_a_format_blob_with_a_damaged_field_is_refused(
    storage: MemoryStorage, key: bytes, changes: dict[str, Any]
) -> None:
    write(storage, key, b"{}", **changes)
    with pytest.raises(errors.CorruptRepositoryError):
        load(storage)


def test_unknown_algorithms_are_refused_by_name(storage: MemoryStorage, key: bytes) -> None:
    write(storage, key, b"{}", encryption="AES128_CBC")
    with pytest.raises(errors.UnsupportedFormatError, match="'AES128_CBC'"):
        load(storage)
    write(storage, key, b"{}", keyAlgo="testing-only-insecure")
    with pytest.raises(errors.UnsupportedFormatError, match="'testing-only-insecure'"):
        load(storage)


def test_a_repository_under_upgrade_does_not_open(storage: MemoryStorage, key: bytes) -> None:
    lock = {"ownerID": "root@host", "creationTime": "2026-11-20T00:00:00Z", "ioDrainTimeout": 1_000_000_000}
    write(storage, key, go_json.dumps({"format": {**PARAMETERS.to_json(), "upgradeLock": lock}}))
    with pytest.raises(errors.RepositoryLockedError, match="being upgraded by 'root@host'"):
        load(storage)


def test_a_repository_that_requires_more_does_not_open(storage: MemoryStorage, key: bytes) -> None:
    features = [{"feature": "quantum", "ifNotUnderstood": {"warn": False, "message": "Upgrade."}}]
    write(storage, key, go_json.dumps({"format": {**PARAMETERS.to_json(), "requiredFeatures": features}}))
    with pytest.raises(errors.UnsupportedFormatError, match="requires the feature 'quantum'"):
        load(storage)


@pytest.mark.parametrize("block", [b"", b"[]", b"{}", b'{"format":null}', b'{"format":[]}', b'{"format":{}}'])
def test_a_damaged_block_is_refused(storage: MemoryStorage, key: bytes, block: bytes) -> None:
    write(storage, key, block)
    with pytest.raises(errors.CorruptRepositoryError):
        load(storage)


@settings(max_examples=60)
@given(st.data())
def test_a_mutated_format_blob_raises_only_documented_errors(data: st.DataObject) -> None:
    # The salt is kept short of 16 bytes or the algorithm unknown wherever possible: a key derivation takes 0.2 s.
    raw = json.dumps({"uniqueID": "AAAA", "keyAlgo": ALGORITHM, "encryption": "AES256_GCM", "encryptedBlockFormat": ""})
    mutated = bytearray(raw.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        mutated[position : position + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        mutated = mutated or bytearray(b"x")
    storage = MemoryStorage()
    storage.put("kopia.repository", mutated)
    with pytest.raises(errors.RepositoryError):
        load(storage)

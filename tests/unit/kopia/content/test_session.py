from __future__ import annotations

import datetime
import json
import re

from tests.unit.kopia.sample import PARAMETERS
from velero_py_plugin.kopia.codec import encryption, hashing
from velero_py_plugin.kopia.content import index_blobs, session
from velero_py_plugin.testing.memory_storage import MemoryStorage

HASH_OF = hashing.hash_function(PARAMETERS.hash, PARAMETERS.secret)
ENCRYPTOR = encryption.Encryptor(PARAMETERS.encryption, PARAMETERS.master_key)
NOW = datetime.datetime(2026, 11, 21, 2, 58, 46, 14197, tzinfo=datetime.UTC)


def names(storage: MemoryStorage) -> list[str]:
    return [blob.blob_id for blob in storage.list()]


def test_the_marker_says_who_writes_since_when() -> None:
    storage, current = MemoryStorage(), session.Session(NOW)
    current.write_marker(storage, HASH_OF, ENCRYPTOR, "default", "host")
    [name] = names(storage)
    assert re.fullmatch(rf"s[0-9a-f]{{32}}-{current.session_id}", name)
    plain = ENCRYPTOR.open(storage.get(name), index_blobs.blob_iv(name))
    assert plain == (
        b'{"id":"' + current.session_id.encode() + b'","startTime":"2026-11-21T02:58:46.014197Z",'
        b'"checkpointTime":"2026-11-21T02:58:46.014197Z","username":"default","hostname":"host"}'
    )
    assert json.loads(plain)["id"] == current.session_id


def test_the_marker_is_written_once_and_removed() -> None:
    storage, current = MemoryStorage(), session.Session(NOW)
    current.delete_marker(storage)  # nothing yet
    current.write_marker(storage, HASH_OF, ENCRYPTOR, "default", "default")
    first = names(storage)
    current.write_marker(storage, HASH_OF, ENCRYPTOR, "default", "default")
    assert names(storage) == first
    current.delete_marker(storage)
    assert names(storage) == []

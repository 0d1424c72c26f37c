from __future__ import annotations

import copy
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kopia.sample import open_in, ticking
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.manifest.manifest_manager import Manifest
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.testing.memory_storage import MemoryStorage

START = 1_795_000_000
POLICY = {"type": "policy", "policyType": "global"}


def stored(repository: Repository) -> list[Any]:
    """The documents of all manifest contents."""
    return [
        json.loads(gzip.decompress(repository.contents.read(content_id)))
        for content_id in repository.contents.list("m")
    ]


def put_raw(storage: Storage, document: bytes) -> None:
    """Stores a manifest content as another client would."""
    with open_in(storage) as repository:
        repository.contents.write(gzip.compress(document), "m")
        repository.flush()


def data(manifests: list[Manifest]) -> list[Any]:
    return [manifest.data for manifest in manifests]


def test_what_is_put_is_found_at_once_and_after_a_flush_elsewhere() -> None:
    storage = MemoryStorage()
    with open_in(storage, now_ns=ticking(START)) as here, open_in(storage) as elsewhere:
        manifest_id = here.manifests.put(POLICY, {"x": [1, None]})
        expected = Manifest(manifest_id, POLICY, START * 10**9, {"x": [1, None]})
        assert here.manifests.find(POLICY) == [expected]
        here.flush()
        assert here.manifests.find(POLICY) == [expected]
        assert elsewhere.manifests.find(POLICY) == []
        elsewhere.refresh()
        assert elsewhere.manifests.find(POLICY) == [expected]


def test_a_flush_writes_one_content_as_kopia_would() -> None:
    storage = MemoryStorage()
    with open_in(storage, now_ns=lambda: START * 10**9 + 5) as repository:
        first = repository.manifests.put({"type": "a", "path": "/<x>", "hostname": "h"}, {"b": 1, "a": 2})
        second = repository.manifests.put({"type": "b"}, None)
        repository.flush()
        [content_id] = repository.contents.list("m")
        assert gzip.decompress(repository.contents.read(content_id)) == (
            b'{"entries":['
            b'{"id":"' + first.encode() + b'","labels":{"hostname":"h","path":"/\\u003cx\\u003e","type":"a"},'
            b'"modified":"2026-11-18T11:06:40.000000005Z","data":{"b":1,"a":2}},'
            b'{"id":"' + second.encode() + b'","labels":{"type":"b"},"modified":"2026-11-18T11:06:40.000000005Z",'
            b'"data":null}]}\n'
        )


def test_finding_asks_for_all_labels() -> None:
    with open_in(MemoryStorage(), now_ns=ticking(START)) as repository:
        repository.manifests.put({"type": "snapshot", "path": "/a"}, 1)
        repository.manifests.put({"type": "snapshot", "path": "/b"}, 2)
        repository.manifests.put({"type": "policy", "path": "/a"}, 3)
        assert data(repository.manifests.find({"type": "snapshot"})) == [1, 2]
        assert data(repository.manifests.find({"type": "snapshot", "path": "/b"})) == [2]
        assert data(repository.manifests.find({"type": "snapshot", "tag": "x"})) == []
        assert data(repository.manifests.find({})) == [1, 2, 3]


def test_what_is_found_is_ordered_by_age_whatever_the_order_of_storing() -> None:
    storage = MemoryStorage()
    for start in (300, 100, 200):
        with open_in(storage, now_ns=ticking(START + start)) as repository:
            repository.manifests.put(POLICY, start)
            repository.flush()
    with open_in(storage) as repository:
        assert data(repository.manifests.find(POLICY)) == [100, 200, 300]


def test_what_is_deleted_stays_deleted() -> None:
    storage = MemoryStorage()
    with open_in(storage, now_ns=ticking(START)) as repository:
        manifest_id = repository.manifests.put(POLICY, 1)
        kept = repository.manifests.put({"type": "maintenance"}, 2)
        repository.flush()
        repository.manifests.delete(manifest_id)
        assert data(repository.manifests.find({})) == [2]
        repository.flush()
        assert data(repository.manifests.find({})) == [2]
        [tombstone] = [entry for document in stored(repository) for entry in document["entries"] if "deleted" in entry]
        modified = tombstone.pop("modified")
        assert modified.startswith("2026-11-18T11:06:4")
        assert tombstone == {"id": manifest_id, "labels": None, "deleted": True, "data": None}
    with open_in(storage) as repository:
        assert [manifest.manifest_id for manifest in repository.manifests.find({})] == [kept]


@pytest.mark.parametrize("later", [-3600, 0, 3600])
def test_a_tombstone_is_younger_than_what_it_deletes_whatever_the_clock_says(later: int) -> None:
    storage = MemoryStorage()
    with open_in(storage, now_ns=lambda: START * 10**9) as repository:
        manifest_id = repository.manifests.put(POLICY, 1)
        repository.flush()
    with open_in(storage, now_ns=lambda: (START + later) * 10**9) as repository:
        repository.manifests.delete(manifest_id)
        repository.flush()
    with open_in(storage) as repository:
        assert repository.manifests.find(POLICY) == []
        times = {
            entry.get("deleted", False): go_json.parse_time(entry["modified"])
            for doc in stored(repository)
            for entry in doc["entries"]
        }
        assert times[True] > times[False]


def test_what_was_put_and_deleted_again_is_never_stored() -> None:
    storage = MemoryStorage()
    with open_in(storage) as repository:
        repository.manifests.delete(repository.manifests.put(POLICY, 1))
        repository.manifests.delete("00" * 16)  # nobody knows it
        repository.flush()
    assert list(storage.list()) == []


def test_a_flush_of_nothing_stores_nothing() -> None:
    storage = MemoryStorage()
    with open_in(storage) as repository:
        repository.flush()
    assert list(storage.list()) == []


def entry(**changes: Any) -> dict[str, Any]:
    value = {"id": "aa" * 16, "labels": {"type": "x"}, "modified": "2026-11-21T00:00:00Z", "data": {"n": 1}, **changes}
    return {key: field for key, field in value.items() if field is not ...}


def document(*entries: Any) -> bytes:
    return json.dumps({"entries": entries}).encode()


def test_the_newest_entry_of_an_id_counts() -> None:
    storage = MemoryStorage()
    put_raw(storage, document(entry(data=1), entry(data=3, modified="2026-11-21T00:00:03Z")))
    put_raw(storage, document(entry(data=2, modified="2026-11-21T00:00:02.5+00:00")))
    with open_in(storage) as repository:
        assert data(repository.manifests.find({})) == [3]


def test_a_manifest_put_back_after_its_deletion_counts() -> None:
    storage = MemoryStorage()
    put_raw(storage, document(entry(deleted=True, labels=None, data=None, modified="2026-11-21T00:00:01Z")))
    put_raw(storage, document(entry(data=1, modified="2026-11-21T00:00:02Z")))
    put_raw(storage, document(entry(id="bb" * 16, data=2)))
    put_raw(storage, document(entry(id="bb" * 16, deleted=True, modified="2026-11-21T00:00:01Z")))
    with open_in(storage) as repository:
        assert data(repository.manifests.find({})) == [1]


def test_unknown_types_and_fields_are_kept_and_ignored() -> None:
    storage = MemoryStorage()
    put_raw(storage, document(entry(labels={"type": "notificationProfile"}, future=1)))
    with open_in(storage) as repository:
        assert data(repository.manifests.find({"type": "notificationProfile"})) == [{"n": 1}]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(b"{"),
        gzip.compress(b"[]"),
        gzip.compress(b"{}"),
        gzip.compress(b'{"entries":null}'),
        gzip.compress(b'{"entries":{}}'),
        gzip.compress(document(entry()))[:-20],
        gzip.compress(document(None, 1)),
        gzip.compress(document("x")),
        gzip.compress(document([])),
        gzip.compress(document({})),
        gzip.compress(document(entry(id=...))),
        gzip.compress(document(entry(id=5))),
        gzip.compress(document(entry(id=[]))),
        gzip.compress(document(entry(id=[], deleted=True))),
        gzip.compress(document(entry(modified=...))),
        gzip.compress(document(entry(modified="yesterday"))),
        gzip.compress(document(entry(labels=...))),
        gzip.compress(document(entry(labels=5))),
        gzip.compress(document(entry(labels=["type"]))),
        gzip.compress(document(entry(labels={"type": 5}))),
    ],
)
def test_a_damaged_manifest_content_is_refused(raw: bytes) -> None:
    storage = MemoryStorage()
    with open_in(storage) as repository:
        repository.contents.write(raw, "m")
        repository.flush()
    with open_in(storage) as repository, pytest.raises(errors.CorruptRepositoryError):
        repository.manifests.find({})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=5), below, max_size=2),
    max_leaves=3,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["id", "labels", "modified", "deleted", "data", "more"]), JSON))
def test_a_mutated_entry_raises_only_the_documented_error(changes: dict[str, Any]) -> None:
    storage = MemoryStorage()
    put_raw(storage, document({**entry(), **changes}))
    with open_in(storage) as repository:
        try:
            found = repository.manifests.find({})
        except errors.CorruptRepositoryError:
            return
        assert len(found) <= 1


def test_a_manifest_handed_out_is_not_the_one_kept() -> None:
    labels = {"type": "x"}
    with open_in(MemoryStorage()) as repository:
        repository.manifests.put(labels, 1)
        before = copy.deepcopy(labels)
        labels["type"] = "y"
        assert data(repository.manifests.find(before)) == [1]

"""The history of the store: any remembered moment can be seen again, and every change is told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.testing.kubernetes_api import status
from velero_py_plugin.testing.kubernetes_api.served import BY_PATH
from velero_py_plugin.testing.kubernetes_api.store import Change, Store

_CONFIG_MAPS = BY_PATH["", "v1", "configmaps"]
_SECRETS = BY_PATH["", "v1", "secrets"]
_STEPS = st.lists(st.tuples(st.sampled_from([_CONFIG_MAPS, _SECRETS]), st.sampled_from("abc"), st.booleans()))


@given(_STEPS, st.integers(1, 8))
def test_every_remembered_moment_can_be_seen_again(steps: list[tuple[object, str, bool]], history: int) -> None:
    store = Store(history)
    told: list[Change] = []
    store.listen(told.append)
    moments = [(store.revision, dict(store.items(_CONFIG_MAPS)))]
    for served, name, remove in steps:
        kind = _CONFIG_MAPS if served is _CONFIG_MAPS else _SECRETS
        key = ("default", name)
        if not remove:
            store.put(kind, key, {"metadata": {"name": name}, "step": len(told)})
        elif store.get(kind, key) is not None:
            store.remove(kind, key)
        else:
            continue
        moments.append((store.revision, dict(store.items(_CONFIG_MAPS))))
    assert [change.revision for change in told] == [revision for revision, _ in moments[1:]]
    for revision, objects in moments:
        later = [change for change in told if change.revision > revision]
        if len(later) > history:
            with pytest.raises(status.ApiError, match="too old resource version"):
                store.at(_CONFIG_MAPS, revision)
        else:
            assert store.since(revision) == later
            assert store.at(_CONFIG_MAPS, revision) == objects


def test_removal_has_a_version_of_its_own() -> None:
    store = Store(10)
    stored = store.put(_CONFIG_MAPS, ("default", "a"), {"metadata": {"name": "a"}})
    last = store.remove(_CONFIG_MAPS, ("default", "a"))
    assert int(last["metadata"]["resourceVersion"]) == int(stored["metadata"]["resourceVersion"]) + 1
    assert stored["metadata"]["name"] == last["metadata"]["name"]


def test_listening_ends() -> None:
    store = Store(10)
    told: list[Change] = []
    store.listen(told.append)
    store.unlisten(told.append)
    store.put(_CONFIG_MAPS, ("default", "a"), {"metadata": {"name": "a"}})
    assert told == []

from __future__ import annotations

import functools
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sample_plugin import Plain, SampleBackup, SampleRestore
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.registry import (
    ActionNotFoundError,
    ActionNotStartedError,
    InvalidActionError,
    Registry,
    check_name,
)


def test_kinds_in_velero_s_order_and_names_in_the_author_s() -> None:
    registry = Registry({"z.io/restore": SampleRestore, "z.io/second": SampleBackup, "a.io/first": Plain})
    assert [(entry.kind.__name__, entry.name) for entry in registry.registrations] == [
        ("BackupItemActionV2", "z.io/second"),
        ("BackupItemActionV2", "a.io/first"),
        ("RestoreItemActionV2", "z.io/restore"),
    ]


def test_an_action_is_made_once_when_first_asked_for() -> None:
    made = []

    class Counted(Plain):
        def __init__(self) -> None:
            made.append(self)

    registry = Registry({"example.io/x": Counted})
    assert made == []
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(registry.get(kinds.BackupItemActionV2, "example.io/x")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 8


def test_a_slow_constructor_holds_up_nobody_else() -> None:
    making, go_on = threading.Event(), threading.Event()

    class Slow(Plain):
        def __init__(self) -> None:
            making.set()
            go_on.wait(10)

    registry = Registry({"example.io/slow": Slow, "example.io/quick": Plain})
    thread = threading.Thread(target=registry.get, args=(kinds.BackupItemActionV2, "example.io/slow"))
    thread.start()
    assert making.wait(10)
    quick = threading.Thread(target=registry.get, args=(kinds.BackupItemActionV2, "example.io/quick"))
    quick.start()
    quick.join(5)
    held_up = quick.is_alive()
    go_on.set()
    for waiting in (thread, quick):
        waiting.join()
    assert not held_up


def test_a_partial_brings_arguments() -> None:
    registry = Registry({"example.io/x": functools.partial(SampleBackup, "secrets")})
    action = registry.get(kinds.BackupItemActionV2, "example.io/x")
    assert action.applies_to().included_resources == ("secrets",)


def test_an_action_that_cannot_be_made_is_tried_again() -> None:
    attempts = []

    class Shy(Plain):
        def __init__(self) -> None:
            attempts.append(1)
            if len(attempts) == 1:
                raise ConnectionError("no route to the API server")

    registry = Registry({"example.io/shy": Shy})
    with pytest.raises(ActionNotStartedError, match=r"^no route to the API server$") as caught:
        registry.get(kinds.BackupItemActionV2, "example.io/shy")
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert isinstance(registry.get(kinds.BackupItemActionV2, "example.io/shy"), Shy)


@pytest.mark.parametrize("name", ["example.io/other", "example.io/", "", "x" * 1000])
def test_unknown_names(name: str) -> None:
    registry = Registry({"example.io/x": SampleBackup})
    with pytest.raises(ActionNotFoundError, match=r"^BackupItemActionV2 plugin: .* was not found"):
        registry.get(kinds.BackupItemActionV2, name)


def test_a_name_belongs_to_one_kind() -> None:
    with pytest.raises(ActionNotFoundError, match=r"^RestoreItemActionV2 plugin: example\.io/x was not found"):
        Registry({"example.io/x": SampleBackup}).get(kinds.RestoreItemActionV2, "example.io/x")


class Abstract(kinds.BackupItemActionV2):
    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector()


class Both(kinds.BackupItemActionV2, kinds.RestoreItemActionV2):  # type: ignore[misc] # what the test is about
    pass


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Abstract, "lacks execute"),
        (Both, "exactly one kind"),
        (str, "exactly one kind"),
        (Plain.applies_to, "one kind"),
    ],
)
def test_what_is_no_action_is_refused_at_once(action: Any, text: str) -> None:
    with pytest.raises(InvalidActionError, match=f"^example.io/x: .*{text}"):
        Registry({"example.io/x": action})


def test_a_class_that_makes_something_else_is_found_out() -> None:
    class Odd(Plain):
        def __new__(cls) -> Any:
            return "not an action"

    with pytest.raises(ActionNotStartedError, match="not a BackupItemActionV2 but a str"):
        Registry({"example.io/odd": Odd}).get(kinds.BackupItemActionV2, "example.io/odd")


@pytest.mark.parametrize(
    "name", ["example.io/x", "a/b", "1a-b.c2/A_b.c-D9", f"{'a' * 253}/{'b' * 63}", "velero.io/csi-x"]
)
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "/x",
        "example.io/",
        "example.io/a/b",
        "Example.io/x",
        "-a.io/x",
        "a-.io/x",
        "a..io/x",
        "a_b.io/x",
        f"{'a' * 254}/x",
        "example.io/-x",
        "example.io/x.",
        "example.io/ä",
        "example.io/x\n",
        f"example.io/{'b' * 64}",
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidActionError):
        Registry({name: Plain})


@given(st.text(alphabet="aZ9-._/\n", max_size=20))
def test_accepted_names_follow_velero_s_rule(name: str) -> None:
    """Velero: one slash, both halves not empty, the first a DNS-1123 subdomain."""
    try:
        check_name(name)
    except InvalidActionError:
        return
    prefix, rest = name.split("/")
    assert rest
    for label in prefix.split("."):
        assert label[0] in "a9"
        assert label[-1] in "a9"
        assert set(label) <= set("a9-")

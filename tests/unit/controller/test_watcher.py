"""Watching a type over the wire: every object, every change, and whatever goes wrong in between."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.controller.environment import NAMESPACE_OF_VELERO, Environment, eventually
from velero_py_plugin.api.resource import DATA_UPLOAD, ResourceType
from velero_py_plugin.controller import watcher

UNKNOWN = ResourceType("example.io", "v1", "things", "Thing")


@contextlib.contextmanager
def watching(
    environment: Environment,
    resource: ResourceType = DATA_UPLOAD,
    rounds: int = 60,
    on_name: Callable[[str], None] = lambda _name: None,
) -> Iterator[list[str]]:
    """What a watch has seen so far; it is ended by breaking its connection."""
    seen: list[str] = []

    def see(item: dict[str, Any]) -> None:
        seen.append(item["metadata"]["name"])
        on_name(item["metadata"]["name"])

    stop = threading.Event()
    thread = threading.Thread(
        target=watcher.watch,
        args=(environment.kube, resource, NAMESPACE_OF_VELERO, see),
        kwargs={"stop": stop, "resync_interval": rounds, "error_delay": 0.005},
    )
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        while thread.is_alive():
            environment.api.drop_watches()
            thread.join(0.02)


def test_sees_what_exists_and_what_changes(environment: Environment) -> None:
    environment.make_upload("old")
    with watching(environment) as seen:
        eventually(lambda: seen == ["old"])
        environment.make_upload("new")
        eventually(lambda: seen == ["old", "new"])
        environment.cancel(DATA_UPLOAD, "old")
        eventually(lambda: seen == ["old", "new", "old"])
        environment.kube.delete(DATA_UPLOAD, "new", NAMESPACE_OF_VELERO)
        eventually(lambda: seen == ["old", "new", "old", "new"])


def test_goes_on_after_a_broken_connection(environment: Environment) -> None:
    environment.make_upload("one")
    with watching(environment) as seen:
        eventually(lambda: seen)
        environment.api.drop_watches()
        environment.make_upload("two")
        eventually(lambda: "two" in seen)


def test_history_that_is_forgotten_is_no_matter(environment: Environment) -> None:
    with watching(environment) as seen:
        environment.make_upload("one")
        eventually(lambda: seen)
        environment.api.forget_history()
        environment.api.drop_watches()
        environment.make_upload("two")
        eventually(lambda: "two" in seen)


@pytest.mark.parametrize("code", [403, 410, 429, 500, 503])
def test_goes_on_after_a_refusal(environment: Environment, caplog: pytest.LogCaptureFixture, code: int) -> None:
    environment.make_upload("one")
    environment.api.fail_next("WATCH", "/datauploads", code, 3)
    with caplog.at_level(logging.WARNING), watching(environment) as seen:
        eventually(lambda: seen)
    assert "Watching datauploads.velero.io: " in caplog.text


def test_waits_for_a_type_that_is_not_installed_yet(environment: Environment, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), watching(environment, UNKNOWN) as seen:
        eventually(lambda: caplog.text.count("ResourceTypeNotServed") >= 3)
        assert seen == []


def test_an_object_that_cannot_be_understood_holds_up_nobody(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    def misunderstand(name: str) -> None:
        if name == "one":
            raise ZeroDivisionError

    environment.make_upload("one")
    environment.make_upload("two")
    with watching(environment, on_name=misunderstand) as seen:
        eventually(lambda: seen == ["one", "two"])
    assert "ZeroDivisionError" in caplog.text


def test_a_round_ends_and_the_next_one_sees_everything_again(environment: Environment) -> None:
    environment.make_upload("one")
    with watching(environment, rounds=1) as seen:
        eventually(lambda: len(seen) >= 2)

"""Slots for movers: never too many, first come first served, nobody forgotten."""

from __future__ import annotations

from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from velero_py_plugin.controller.slots import Slots

uids = strategies.sampled_from("abcdef")


class SlotsMachine(RuleBasedStateMachine):
    """Requests come, wait, are found running, and go, in any order; a list is the model."""

    LIMIT = 2

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(self.LIMIT)
        self.taken: set[str] = set()
        self.queue: list[str] = []
        self.woken: list[str] = []

    @rule(uid=uids)
    def take(self, uid: str) -> None:
        if uid not in self.taken and uid not in self.queue:
            self.queue.append(uid)
        free = self.LIMIT - len(self.taken)
        expected = uid in self.taken or uid in self.queue[: max(0, free)]
        assert self.slots.take(uid, lambda: self.woken.append(uid)) == expected
        if expected and uid not in self.taken:
            self.queue.remove(uid)
            self.taken.add(uid)

    @rule(uid=uids)
    def hold(self, uid: str) -> None:
        self.slots.hold(uid)
        self.taken.add(uid)
        if uid in self.queue:
            self.queue.remove(uid)

    @rule(uid=uids)
    def give_back(self, uid: str) -> None:
        self.woken.clear()
        self.slots.give_back(uid)
        self.taken.discard(uid)
        if uid in self.queue:
            self.queue.remove(uid)
        assert self.woken == self.queue[: max(0, self.LIMIT - len(self.taken))]

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        assert not set(self.queue) & self.taken


TestSlots = SlotsMachine.TestCase

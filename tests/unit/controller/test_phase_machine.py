"""The phase machine: a table of single steps, properties of every step, and whole lives of a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from velero_py_plugin.api.movement import MovementStatus
from velero_py_plugin.api.mover import MoverResult, Progress
from velero_py_plugin.api.object_meta import parse_time
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.controller.exposer.exposer import MoverEnded, MoverLost, MoverRunning, MoverState
from velero_py_plugin.controller.phase_machine import (
    Facts,
    Failure,
    Readiness,
    Ready,
    Step,
    Waiting,
    decide,
    status_fields,
)

RUNNING = MoverRunning(Progress(5, 10))
COMPLETED = MoverEnded(MoverResult("completed", snapshot_id="m1", total_bytes=10))
CANCELED = MoverEnded(MoverResult("canceled", reason="Canceled", message="stopped"))
FAILED = MoverEnded(MoverResult("failed", reason="SourceUnreadable", message="a file cannot be read."))
SILENT = MoverEnded(MoverResult("failed"))
TEMPORARY = MoverEnded(MoverResult("failed", reason="StorageUnavailable", message="no answer.", temporary=True))
LOST = MoverLost("the mover was killed by SIGKILL without a result.")
WAITING = Waiting("SnapshotNotReady", "the snapshot is not ready.")
FAILURE = Failure("VolumeSnapshotNotFound", "the snapshot does not exist.")

# What Velero's own mover does (data_upload_controller.go, data_download_controller.go), and Accepted and Prepared to
# Failed for reasons it does not know.
LEGAL = {
    Phase.NEW: {Phase.ACCEPTED, Phase.CANCELED},
    Phase.ACCEPTED: {Phase.PREPARED, Phase.FAILED, Phase.CANCELED},
    Phase.PREPARED: {Phase.IN_PROGRESS, Phase.FAILED, Phase.CANCELED},
    Phase.IN_PROGRESS: {Phase.COMPLETED, Phase.FAILED, Phase.CANCELING, Phase.CANCELED},
    Phase.CANCELING: {Phase.CANCELED, Phase.FAILED, Phase.COMPLETED},
    Phase.COMPLETED: set(),
    Phase.FAILED: set(),
    Phase.CANCELED: set(),
}


@pytest.mark.parametrize(
    ("facts", "step", "phase", "text"),
    [
        (Facts(Phase.NEW), Step.ACCEPT, None, ""),
        (Facts(Phase.NEW, cancel=True), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.ACCEPTED, preparation=Ready()), Step.ADVANCE, Phase.PREPARED, ""),
        (Facts(Phase.ACCEPTED, preparation=Ready(), overdue=True), Step.ADVANCE, Phase.PREPARED, ""),
        (Facts(Phase.ACCEPTED, preparation=WAITING), Step.WAIT, None, "SnapshotNotReady: "),
        (Facts(Phase.ACCEPTED, preparation=WAITING, overdue=True), Step.ADVANCE, Phase.FAILED, "PrepareTimeout: "),
        (Facts(Phase.ACCEPTED, preparation=FAILURE), Step.ADVANCE, Phase.FAILED, "VolumeSnapshotNotFound: "),
        (Facts(Phase.ACCEPTED, cancel=True), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.PREPARED), Step.WAIT, None, ""),
        (Facts(Phase.PREPARED, preparation=Ready(), slot=True), Step.START, None, ""),
        (Facts(Phase.PREPARED, preparation=WAITING, slot=True), Step.WAIT, None, "SnapshotNotReady: "),
        (Facts(Phase.PREPARED, preparation=FAILURE, slot=True), Step.ADVANCE, Phase.FAILED, "VolumeSnapshotNotFound: "),
        (Facts(Phase.PREPARED, mover=RUNNING), Step.ADVANCE, Phase.IN_PROGRESS, ""),
        (Facts(Phase.PREPARED, mover=COMPLETED), Step.ADVANCE, Phase.IN_PROGRESS, ""),
        (Facts(Phase.PREPARED, mover=LOST), Step.ADVANCE, Phase.FAILED, "MoverLost: "),
        (Facts(Phase.PREPARED, cancel=True), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.PREPARED, cancel=True, mover=RUNNING), Step.STOP, None, ""),
        (Facts(Phase.PREPARED, cancel=True, mover=COMPLETED), Step.ADVANCE, Phase.IN_PROGRESS, ""),
        (Facts(Phase.PREPARED, cancel=True, mover=CANCELED), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.PREPARED, cancel=True, mover=LOST), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.IN_PROGRESS, mover=RUNNING), Step.WAIT, None, ""),
        (Facts(Phase.IN_PROGRESS, mover=COMPLETED), Step.ADVANCE, Phase.COMPLETED, ""),
        (Facts(Phase.IN_PROGRESS, mover=COMPLETED, binding=Ready()), Step.ADVANCE, Phase.COMPLETED, ""),
        (Facts(Phase.IN_PROGRESS, mover=COMPLETED, binding=WAITING), Step.WAIT, None, "SnapshotNotReady: "),
        (
            Facts(Phase.IN_PROGRESS, mover=COMPLETED, binding=WAITING, binding_overdue=True),
            Step.ADVANCE,
            Phase.FAILED,
            "BindingTimeout: ",
        ),
        (Facts(Phase.IN_PROGRESS, mover=COMPLETED, binding=FAILURE), Step.ADVANCE, Phase.FAILED, "VolumeSnapshotNot"),
        (Facts(Phase.IN_PROGRESS, mover=FAILED), Step.ADVANCE, Phase.FAILED, "SourceUnreadable: a file"),
        (Facts(Phase.IN_PROGRESS, mover=SILENT), Step.ADVANCE, Phase.FAILED, "MoverFailed: "),
        (Facts(Phase.IN_PROGRESS, mover=CANCELED), Step.ADVANCE, Phase.FAILED, "MoverLost: "),
        (Facts(Phase.IN_PROGRESS, mover=LOST), Step.ADVANCE, Phase.FAILED, "MoverLost: the mover was killed"),
        (Facts(Phase.IN_PROGRESS), Step.ADVANCE, Phase.FAILED, "MoverLost: "),
        (Facts(Phase.IN_PROGRESS, mover=TEMPORARY), Step.ADVANCE, Phase.FAILED, "StorageUnavailable: no answer."),
        (Facts(Phase.IN_PROGRESS, mover=TEMPORARY, attempt_left=True), Step.WAIT, None, ""),
        (Facts(Phase.IN_PROGRESS, mover=TEMPORARY, attempt_left=True, attempt_due=True), Step.START, None, ""),
        (Facts(Phase.IN_PROGRESS, cancel=True, mover=RUNNING), Step.STOP, Phase.CANCELING, ""),
        (Facts(Phase.IN_PROGRESS, cancel=True, mover=TEMPORARY), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.IN_PROGRESS, cancel=True), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.IN_PROGRESS, cancel=True, mover=COMPLETED), Step.ADVANCE, Phase.COMPLETED, ""),
        (
            Facts(Phase.IN_PROGRESS, cancel=True, mover=COMPLETED, binding=WAITING),
            Step.ADVANCE,
            Phase.CANCELED,
            "Canceled: ",
        ),
        (Facts(Phase.CANCELING, mover=RUNNING), Step.STOP, None, ""),
        (Facts(Phase.CANCELING, mover=CANCELED), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.CANCELING, mover=LOST), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.CANCELING, mover=FAILED), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.CANCELING), Step.ADVANCE, Phase.CANCELED, "Canceled: "),
        (Facts(Phase.COMPLETED), Step.RELEASE, None, ""),
        (Facts(Phase.FAILED, cancel=True), Step.RELEASE, None, ""),
        (Facts(Phase.CANCELED, cancel=True), Step.RELEASE, None, ""),
    ],
)
def test_one_step(facts: Facts, step: Step, phase: Phase | None, text: str) -> None:
    decision = decide(facts)
    assert (decision.step, decision.phase) == (step, phase)
    assert decision.text.startswith(text)
    assert bool(decision.text) == bool(text)


words = strategies.text("abc", min_size=1, max_size=3)
readiness: strategies.SearchStrategy[Readiness | None] = strategies.one_of(
    strategies.none(),
    strategies.just(Ready()),
    strategies.builds(Waiting, words, words),
    strategies.builds(Failure, words, words),
)
movers: strategies.SearchStrategy[MoverState | None] = strategies.sampled_from(
    [None, RUNNING, COMPLETED, CANCELED, FAILED, SILENT, TEMPORARY, LOST]
)
any_facts = strategies.builds(
    Facts,
    phase=strategies.sampled_from(Phase),
    cancel=strategies.booleans(),
    preparation=readiness,
    overdue=strategies.booleans(),
    mover=movers,
    slot=strategies.booleans(),
    attempt_left=strategies.booleans(),
    attempt_due=strategies.booleans(),
    binding=readiness,
    binding_overdue=strategies.booleans(),
)


@given(any_facts)
def test_every_step_is_legal_and_says_why(facts: Facts) -> None:
    decision = decide(facts)
    if decision.phase:
        assert decision.phase in LEGAL[facts.phase]
    if decision.phase in (Phase.FAILED, Phase.CANCELED):
        assert decision.reason
        assert decision.message
    if facts.phase.terminal:
        assert (decision.step, decision.phase) == (Step.RELEASE, None)


@given(any_facts, strategies.sampled_from(["", "2026-01-01T00:00:00Z"]), strategies.integers(2**31, 2**33))
def test_a_terminal_status_lacks_nothing(facts: Facts, started: str, now: int) -> None:
    before: dict[str, Any] = {"phase": facts.phase, "progress": {"totalBytes": 9, "bytesDone": 3}}
    if started:
        before["startTimestamp"] = started
    decision = decide(facts)
    if decision.phase is None:
        return
    fields = status_fields(decision, facts, MovementStatus.from_object({"status": before}), now=now)
    after = MovementStatus.from_object({"status": {**before, **fields}})
    assert after.phase is decision.phase
    if after.phase.terminal:
        assert after.started_at == (parse_time(started) if started else now)
        assert after.completed_at == now
    if after.phase is Phase.FAILED:
        assert after.message
    if after.phase is Phase.COMPLETED:
        assert after.bytes_done == after.total_bytes == 10


class Life(RuleBasedStateMachine):
    """One request in a world where anything may happen between two passes."""

    def __init__(self) -> None:
        super().__init__()
        self.status: dict[str, Any] = {"progress": {}}
        self.cancel = False
        self.preparation: Readiness = WAITING
        self.overdue = False
        self.slot = False
        self.mover: MoverState | None = None
        self.starts = 0
        self.binding: Readiness | None = None
        self.binding_overdue = False
        self.final: dict[str, Any] | None = None

    @property
    def phase(self) -> Phase:
        return Phase(self.status.get("phase", Phase.NEW))

    @rule()
    def pass_(self) -> None:
        facts = Facts(
            self.phase,
            self.cancel,
            preparation=self.preparation,
            overdue=self.overdue,
            mover=self.mover,
            slot=self.slot,
            attempt_left=self.starts < 3,
            attempt_due=True,
            binding=self.binding,
            binding_overdue=self.binding_overdue,
        )
        decision = decide(facts)
        if decision.phase:
            assert decision.phase in LEGAL[self.phase]
        match decision.step:
            case Step.ACCEPT:
                self.status["phase"] = Phase.ACCEPTED
            case Step.START:
                assert not isinstance(self.mover, MoverRunning), "two movers for one request"
                self.mover = RUNNING
                self.starts += 1
            case Step.STOP:
                assert isinstance(self.mover, MoverRunning)
                if decision.phase:
                    self.status["phase"] = decision.phase
            case Step.ADVANCE:
                before = MovementStatus.from_object({"status": self.status})
                self.status |= status_fields(decision, facts, before, now=1.0)
        if self.phase.terminal:
            self.final = self.final or dict(self.status)
            assert not isinstance(self.mover, MoverRunning), "a terminal request with a running mover"

    @rule()
    def is_canceled(self) -> None:
        self.cancel = True

    @rule(value=readiness.filter(lambda value: value is not None))
    def preparation_changes(self, value: Readiness) -> None:
        self.preparation = value

    @rule()
    def time_runs_out(self) -> None:
        self.overdue = self.binding_overdue = True

    @rule()
    def slot_comes(self) -> None:
        self.slot = True

    @precondition(lambda self: isinstance(self.mover, MoverRunning))
    @rule(state=movers.filter(lambda state: state is not None))
    def mover_changes(self, state: MoverState) -> None:
        self.mover = state

    @rule(value=readiness)
    def binding_changes(self, value: Readiness | None) -> None:
        self.binding = value

    @invariant()
    def terminal_stays_terminal(self) -> None:
        assert self.final is None or self.status == self.final

    @invariant()
    def at_most_three_movers(self) -> None:
        assert self.starts <= 3

    def teardown(self) -> None:
        # Whatever has happened: once nothing more happens, the request comes to an end, and a canceled one soon.
        ended = self.final is not None or self.mover == COMPLETED
        self.cancel = True
        for _ in range(4):
            if isinstance(self.mover, MoverRunning) and self.phase in (Phase.PREPARED, Phase.CANCELING):
                self.mover = CANCELED
            self.pass_()
        assert self.phase.terminal
        assert ended or self.phase is Phase.CANCELED


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

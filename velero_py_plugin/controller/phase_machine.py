"""What to do next with one DataUpload or DataDownload: a pure function from what is seen to one step.

Both kinds share one enumeration of phases and this machine (vmware-tanzu/velero v1.18.1
``pkg/controller/data_upload_controller.go``, ``data_download_controller.go``)::

    New ──> Accepted ──> Prepared ──> InProgress ──> Completed
     │         │            │          │      │ └──> Failed
     │         └────────────┴───> Failed      └> Canceling ──> Canceled, or Completed when the work was done
     └─────────┴────────────┴───> Canceled

It differs from Velero's own mover on purpose: every terminal phase carries a reason, nothing waits without a deadline
once it is accepted, a mover that failed for a passing cause is started again, and a volume that cannot be handed over
fails the download instead of leaving it in progress.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final, TypeAlias

from velero_py_plugin.api.movement import MovementStatus
from velero_py_plugin.api.object_meta import format_time
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.controller.exposer.exposer import MoverEnded, MoverLost, MoverRunning, MoverState

CANCELED_REASON: Final = "Canceled"
MOVER_LOST_REASON: Final = "MoverLost"
MOVER_FAILED_REASON: Final = "MoverFailed"
PREPARE_TIMEOUT_REASON: Final = "PrepareTimeout"
BINDING_TIMEOUT_REASON: Final = "BindingTimeout"


@dataclasses.dataclass(frozen=True)
class Ready:
    """Nothing is missing."""


@dataclasses.dataclass(frozen=True)
class Waiting:
    """Something is missing that may come.

    Attributes:
        reason: Stable code.
        message: One sentence.
    """

    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Failure:
    """Something is missing that will not come.

    Attributes:
        reason: Stable code.
        message: One sentence.
    """

    reason: str
    message: str


Readiness: TypeAlias = Ready | Waiting | Failure


class Step(enum.Enum):
    """The one thing to do now."""

    WAIT = enum.auto()  # nothing but look again later; publish progress or what is waited for
    ACCEPT = enum.auto()  # take it on, if nobody else changes it meanwhile
    ADVANCE = enum.auto()  # write the phase
    START = enum.auto()  # start the mover
    STOP = enum.auto()  # stop the mover, and write the phase if there is one
    RELEASE = enum.auto()  # remove what it needed, then our finalizer


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything the decision depends on.

    Attributes:
        phase: Phase of the object.
        cancel: Whether it is to stop: somebody asked for it, or deletes the object.
        preparation: Repository and volume, looked at in the phases Accepted and Prepared.
        overdue: Whether preparing has taken longer than allowed.
        mover: The mover; ``None`` if none was ever started.
        slot: Whether one more mover may run.
        attempt_left: Whether a mover that failed for a passing cause may be started again.
        attempt_due: Whether the pause before the next start is over.
        binding: The restored volume's hand-over; ``None`` where there is nothing to hand over.
        binding_overdue: Whether the hand-over has taken longer than allowed.
    """

    phase: Phase
    cancel: bool = False
    preparation: Readiness | None = None
    overdue: bool = False
    mover: MoverState | None = None
    slot: bool = False
    attempt_left: bool = False
    attempt_due: bool = False
    binding: Readiness | None = None
    binding_overdue: bool = False


@dataclasses.dataclass(frozen=True)
class Decision:
    """One step.

    Attributes:
        step: What to do.
        phase: The phase to write, if any.
        reason: Stable code behind the phase Failed or Canceled.
        message: One sentence behind it.
    """

    step: Step
    phase: Phase | None = None
    reason: str = ""
    message: str = ""

    @property
    def text(self) -> str:
        """``status.message``: the reason first, then the sentence."""
        return f"{self.reason}: {self.message}" if self.reason else ""


def decide(facts: Facts) -> Decision:
    """Chooses the next step.

    Args:
        facts: What is seen now.

    Returns:
        One step; doing it and looking again leads to a terminal phase, and from there nowhere else.
    """
    match facts.phase:
        case Phase.NEW:
            return _canceled("before it was accepted") if facts.cancel else Decision(Step.ACCEPT)
        case Phase.ACCEPTED:
            return _accepted(facts)
        case Phase.PREPARED:
            return _prepared(facts)
        case Phase.IN_PROGRESS | Phase.CANCELING:
            if facts.cancel or facts.phase is Phase.CANCELING:
                return _canceling(facts)
            return _in_progress(facts)
        case _:
            return Decision(Step.RELEASE)


def status_fields(decision: Decision, facts: Facts, status: MovementStatus, *, now: float) -> dict[str, Any]:
    """The fields of ``status`` that a step to another phase writes for both kinds.

    Args:
        decision: The step, with a phase.
        facts: What it was decided on.
        status: The status before.
        now: Seconds since 1970.

    Returns:
        A merge patch. Velero takes a failure without a message for a success, shows what a terminal request lacks as
        unknown, and uses the total of a completed one as the size of the snapshot; so none of these is ever missing.
    """
    phase = decision.phase or facts.phase
    fields: dict[str, Any] = {"phase": phase}
    if decision.text:
        fields["message"] = decision.text
    elif status.message:
        fields["message"] = None  # what was waited for has come
    if (phase is Phase.IN_PROGRESS or phase.terminal) and status.started_at is None:
        fields["startTimestamp"] = format_time(now)
    if phase.terminal:
        fields["completionTimestamp"] = format_time(now)
    if phase is Phase.COMPLETED and isinstance(facts.mover, MoverEnded):
        result = facts.mover.result
        fields["progress"] = {"totalBytes": result.total_bytes, "bytesDone": result.total_bytes}
        if result.message:
            fields["message"] = result.message  # something short of a failure that a person should know
    return fields


def _accepted(facts: Facts) -> Decision:
    if facts.cancel:
        return _canceled("while its volume was being prepared")
    match facts.preparation:
        case Ready():
            return Decision(Step.ADVANCE, Phase.PREPARED)
        case Failure(reason, message):
            return _failed(reason, message)
        case Waiting(reason, message) if facts.overdue:
            return _failed(PREPARE_TIMEOUT_REASON, f"the volume was not ready in time, waiting for {reason}: {message}")
        case Waiting(reason, message):
            return Decision(Step.WAIT, reason=reason, message=message)
        case None:
            return Decision(Step.WAIT)


def _prepared(facts: Facts) -> Decision:
    # The mover is started before the phase is written, so that a write that fails loses nothing: a mover that is
    # already there at this point was started by an earlier pass.
    match facts.mover:
        case MoverRunning() if facts.cancel:
            return Decision(Step.STOP)
        case MoverEnded(result) if result.outcome == "completed" or not facts.cancel:
            return Decision(Step.ADVANCE, Phase.IN_PROGRESS)
        case MoverRunning():
            return Decision(Step.ADVANCE, Phase.IN_PROGRESS)
        case _ if facts.cancel:
            return _canceled("before its mover was started")
        case MoverLost(message):
            return _failed(MOVER_LOST_REASON, message)
    match facts.preparation:
        case Failure(reason, message):
            return _failed(reason, message)
        case Waiting(reason, message):
            return Decision(Step.WAIT, reason=reason, message=message)
        case Ready() if facts.slot:
            return Decision(Step.START)
        case _:
            return Decision(Step.WAIT)


def _in_progress(facts: Facts) -> Decision:
    match facts.mover:
        case MoverRunning():
            return Decision(Step.WAIT)
        case MoverEnded(result) if result.outcome == "completed":
            return _completed(facts)
        case MoverEnded(result) if result.outcome == "canceled":
            return _failed(MOVER_LOST_REASON, "the mover was stopped, and nobody had asked for it to be canceled.")
        case MoverEnded(result) if result.temporary and facts.attempt_left:
            return Decision(Step.START) if facts.attempt_due else Decision(Step.WAIT)
        case MoverEnded(result):
            message = result.message or "the mover failed without saying why; its log may tell."
            return _failed(result.reason or MOVER_FAILED_REASON, message)
        case MoverLost(message):
            return _failed(MOVER_LOST_REASON, message)
        case None:
            return _failed(MOVER_LOST_REASON, "there is no trace of the mover that was started for it.")


def _completed(facts: Facts) -> Decision:
    match facts.binding:
        case None | Ready():
            return Decision(Step.ADVANCE, Phase.COMPLETED)
        case Failure(reason, message):
            return _failed(reason, message)
        case Waiting(reason, message) if facts.binding_overdue:
            return _failed(
                BINDING_TIMEOUT_REASON,
                f"the data is restored, but the volume was not handed over in time, waiting for {reason}: {message}",
            )
        case Waiting(reason, message):
            return Decision(Step.WAIT, reason=reason, message=message)


def _canceling(facts: Facts) -> Decision:
    match facts.mover:
        case MoverRunning() if facts.phase is Phase.CANCELING:
            return Decision(Step.STOP)
        case MoverRunning():
            return Decision(Step.STOP, Phase.CANCELING)
        # What is already done is reported as done: calling a stored snapshot canceled would leave it in the
        # repository with nobody to forget it.
        case MoverEnded(result) if result.outcome == "completed" and isinstance(facts.binding, Ready | None):
            return Decision(Step.ADVANCE, Phase.COMPLETED)
        case _:
            return _canceled("while its data was being moved")


def _failed(reason: str, message: str) -> Decision:
    return Decision(Step.ADVANCE, Phase.FAILED, reason, message)


def _canceled(when: str) -> Decision:
    return Decision(Step.ADVANCE, Phase.CANCELED, CANCELED_REASON, f"it was canceled or deleted {when}.")

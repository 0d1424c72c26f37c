"""What the reconcilers of DataUploads and DataDownloads share: look, decide, do one step.

How an object is written. Accepting replaces the whole object, so that of two controllers only one succeeds; everything
later is a merge patch of our own fields that names the resourceVersion it was decided on. A phase is therefore never
written over a newer one, and a terminal one never changes again. Velero's types have no status subresource.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from velero_py_plugin import errors as root_errors
from velero_py_plugin.api.backup_storage_location import BackupStorageLocation
from velero_py_plugin.api.data_download import DataDownload
from velero_py_plugin.api.data_upload import DataUpload
from velero_py_plugin.api.duration import InvalidDurationError, parse_duration
from velero_py_plugin.api.mover import MoverResult
from velero_py_plugin.api.names import FINALIZER
from velero_py_plugin.api.object_meta import format_time
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.controller import phase_machine
from velero_py_plugin.controller.backup_repository import BackupRepositoryReconciler
from velero_py_plugin.controller.exposer.exposer import (
    Exposer,
    Exposure,
    MoverEnded,
    MoverRunning,
    MoverState,
)
from velero_py_plugin.controller.phase_machine import Decision, Facts, Failure, Readiness, Ready, Step, Waiting
from velero_py_plugin.controller.repository_access import AccessReader
from velero_py_plugin.controller.settings import Settings
from velero_py_plugin.controller.slots import Slots
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import ConflictError, NotFoundError

logger = logging.getLogger(__name__)

R = TypeVar("R", DataUpload, DataDownload)


@dataclasses.dataclass
class _Memory:
    """What is known of a request beside its object; losing it costs time, never truth.

    Attributes:
        uid: The request.
        exposure: Where its volume is reachable.
        attempts: How often its mover was started.
        retry_at: When the mover may be started again.
        binding_since: Since when the restored volume is being handed over.
        reported_at: When progress was last written.
    """

    uid: str
    exposure: Exposure | None = None
    attempts: int = 0
    retry_at: float | None = None
    binding_since: float | None = None
    reported_at: float = 0.0


class MovementReconciler(abc.ABC, Generic[R]):
    """Brings the requests of one kind to a terminal phase.

    Args:
        client: The API server.
        namespace: Velero's namespace.
        exposer: Exposes volumes and runs movers.
        repositories: Prepares repositories.
        slots: How many movers run at once, shared by both kinds.
        settings: Settings.
        wake: Asks for a look at the request of a name.
    """

    resource: ClassVar[ResourceType]
    hands_over: ClassVar[bool]
    """Whether the volume must be handed over to a claim before the work counts as done."""

    def __init__(
        self,
        *,
        client: KubeClient,
        namespace: str,
        exposer: Exposer,
        repositories: BackupRepositoryReconciler,
        slots: Slots,
        settings: Settings,
        wake: Callable[[str], None],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._exposer = exposer
        self._repositories = repositories
        self._slots = slots
        self._settings = settings
        self._wake = wake
        self._reader = AccessReader(client, namespace)
        self._memories: dict[str, _Memory] = {}

    @abc.abstractmethod
    def _parse(self, resource: Mapping[str, Any]) -> R:
        """Reads the object."""

    @abc.abstractmethod
    def _check(self, request: R, location: BackupStorageLocation) -> None:
        """Raises a PermanentError if the request can never be fulfilled."""

    @abc.abstractmethod
    def _prepared_fields(self, exposure: Exposure) -> dict[str, Any]:
        """Fields of ``status`` to write with the phase Prepared."""

    @abc.abstractmethod
    def _completed_fields(self, result: MoverResult) -> dict[str, Any]:
        """Fields of ``status`` to write with the phase Completed."""

    def _judged(self, mover: MoverState | None) -> MoverState | None:
        """Gives what the mover says the meaning it has for this kind."""
        return mover

    def _hand_over(self, request: R) -> None:
        """Hands the volume over; raises a TemporaryError while that is under way."""

    def concerns(self, resource: Mapping[str, Any]) -> bool:
        """Whether there is anything to do for an object: it is ours, and not finished and tidied up."""
        request = self._parse(resource)
        if request.datamover not in self._settings.mover_names:
            return False
        open_end = FINALIZER in request.meta.finalizers or request.meta.name in self._memories
        return open_end or not request.status.phase.terminal

    def reconcile(self, name: str) -> float | None:
        """Looks at one request and does the next step.

        Args:
            name: Its name.

        Returns:
            After how many seconds to look again, or ``None`` when there is nothing more to do.

        Raises:
            velero_py_plugin.errors.Error: The API server, or the exposer, cannot do its part now.
        """
        try:
            resource = self._client.get(self.resource, name, self._namespace)
        except NotFoundError:
            self._forget(name)
            return None
        if not self.concerns(resource):
            return None
        request = self._parse(resource)
        memory = self._memory(request)
        now = time.time()
        facts = self._facts(request, memory, now)
        decision = phase_machine.decide(facts)
        try:
            return self._do(decision, facts, resource, request, memory, now)
        except ConflictError:
            return self._settings.poll_interval  # somebody changed the object since it was read: look at the new one

    def _memory(self, request: R) -> _Memory:
        memory = self._memories.get(request.meta.name)
        if memory and memory.uid != request.meta.uid:
            self._forget(request.meta.name)
            memory = None
        if memory is None:
            memory = self._memories[request.meta.name] = _Memory(request.meta.uid)
        return memory

    def _forget(self, name: str) -> None:
        memory = self._memories.pop(name, None)
        if memory:
            self._exposer.abandon(memory.uid)
            self._slots.give_back(memory.uid)

    def _facts(self, request: R, memory: _Memory, now: float) -> Facts:
        phase, uid = request.status.phase, request.meta.uid
        cancel = request.cancel or request.meta.deleted
        if phase is Phase.NEW or phase.terminal:
            return Facts(phase, cancel)
        if phase is Phase.ACCEPTED:
            accepted_at = request.status.accepted_at or request.meta.created or now
            return Facts(
                phase,
                cancel,
                preparation=None if cancel else self._prepare(request, memory, accepted_at),
                overdue=now - accepted_at >= self._settings.prepare_timeout,
            )
        mover = self._judged(self._exposer.observe(request))
        if isinstance(mover, MoverRunning):
            self._slots.hold(uid)
        if phase is Phase.PREPARED:
            if cancel or mover:
                return Facts(phase, cancel, mover=mover)
            if not self._slots.take(uid, lambda: self._wake(request.meta.name)):
                return Facts(phase)
            preparation = self._prepare(request, memory, request.status.accepted_at or now)
            if not isinstance(preparation, Ready):
                self._slots.give_back(uid)
            return Facts(phase, preparation=preparation, slot=True)
        return self._facts_of_mover(request, memory, mover, cancel=cancel, now=now)

    def _facts_of_mover(
        self, request: R, memory: _Memory, mover: MoverState | None, *, cancel: bool, now: float
    ) -> Facts:
        facts = Facts(request.status.phase, cancel, mover=mover)
        match mover:
            case MoverEnded(result) if result.outcome == "completed" and self.hands_over:
                since = memory.binding_since = memory.binding_since or now
                stopping = cancel or request.status.phase is Phase.CANCELING
                return dataclasses.replace(
                    facts,
                    binding=Waiting(phase_machine.CANCELED_REASON, "") if stopping else self._binding(request),
                    binding_overdue=now - since >= self._binding_timeout(request),
                )
            case MoverEnded(result) if result.temporary:
                if memory.retry_at is None:
                    memory.retry_at = now + self._settings.retry_delay * 2 ** max(0, memory.attempts - 1)
                return dataclasses.replace(
                    facts,
                    attempt_left=memory.attempts < self._settings.mover_attempts,
                    attempt_due=now >= memory.retry_at,
                )
            case _:
                return facts

    def _prepare(self, request: R, memory: _Memory, accepted_at: float) -> Readiness:
        name = request.meta.name
        try:
            location = self._reader.location(request.backup_storage_location)
            self._check(request, location)
            readiness = self._repositories.require(
                request.source_namespace,
                location,
                since=accepted_at,
                who=f"{self.resource.kind}/{name}",
                wake=lambda: self._wake(name),
            )
            if isinstance(readiness, Ready):
                memory.exposure = self._exposer.expose(request)
        except root_errors.TemporaryError as error:
            return Waiting(error.reason, str(error))
        except root_errors.PermanentError as error:
            return Failure(error.reason, str(error))
        return readiness

    def _binding(self, request: R) -> Readiness:
        try:
            self._hand_over(request)
        except root_errors.TemporaryError as error:
            return Waiting(error.reason, str(error))
        except root_errors.PermanentError as error:
            return Failure(error.reason, str(error))
        return Ready()

    def _binding_timeout(self, request: R) -> float:
        try:
            return parse_duration(request.operation_timeout) or self._settings.binding_timeout
        except InvalidDurationError:
            return self._settings.binding_timeout

    def _do(
        self, decision: Decision, facts: Facts, resource: dict[str, Any], request: R, memory: _Memory, now: float
    ) -> float | None:
        """Does one step; returns after how many seconds to look again, or ``None``."""
        match decision.step:
            case Step.ACCEPT:
                self._accept(resource, now)
                return 0.0
            case Step.START:
                return self._start(request, memory, now)
            case Step.STOP:
                self._exposer.stop(request)
                if decision.phase:
                    self._write(request, {"phase": decision.phase})
                return self._settings.poll_interval
            case Step.ADVANCE:
                self._advance(decision, facts, request, memory, now)
                return 0.0
            case Step.RELEASE:
                self._release(request)
                return None
            case Step.WAIT:
                self._report(decision, facts, request, memory, now)
                moving = facts.phase is Phase.IN_PROGRESS
                return self._settings.poll_interval if moving else self._settings.wait_interval

    def _accept(self, resource: dict[str, Any], now: float) -> None:
        body = copy.deepcopy(resource)
        finalizers = body["metadata"].setdefault("finalizers", [])
        if FINALIZER not in finalizers:
            finalizers.append(FINALIZER)
        body["status"] = {
            **(body.get("status") or {}),
            "phase": Phase.ACCEPTED,
            "acceptedByNode": self._settings.node,
            "acceptedTimestamp": format_time(now),
        }
        self._client.replace(self.resource, body)
        self._log(body["metadata"]["name"], Phase.ACCEPTED, "")

    def _start(self, request: R, memory: _Memory, now: float) -> float:
        try:
            exposure = memory.exposure = memory.exposure or self._exposer.expose(request)
            location = self._reader.location(request.backup_storage_location)
            access = self._reader.access(location, request.source_namespace)
            self._exposer.start(request, exposure, access)
        except root_errors.PermanentError as error:
            decision = Decision(Step.ADVANCE, Phase.FAILED, error.reason, str(error))
            self._advance(decision, Facts(request.status.phase), request, memory, now)
            return 0.0
        memory.attempts += 1
        memory.retry_at = None
        return 0.0

    def _advance(self, decision: Decision, facts: Facts, request: R, memory: _Memory, now: float) -> None:
        """Writes a phase with everything that belongs to it."""
        fields = phase_machine.status_fields(decision, facts, request.status, now=now)
        if decision.phase is Phase.PREPARED and memory.exposure:
            fields |= {"node": memory.exposure.node, **self._prepared_fields(memory.exposure)}
        if decision.phase is Phase.COMPLETED and isinstance(facts.mover, MoverEnded):
            fields |= self._completed_fields(facts.mover.result)
        self._write(request, fields)
        self._log(request.meta.name, fields["phase"], decision.text)

    def _report(self, decision: Decision, facts: Facts, request: R, memory: _Memory, now: float) -> None:
        """Publishes progress, or what is waited for, where it has changed."""
        fields: dict[str, Any] = {}
        if decision.text and decision.text != request.status.message:
            fields["message"] = decision.text
        if isinstance(facts.mover, MoverRunning) and now - memory.reported_at >= self._settings.progress_interval:
            progress = facts.mover.progress
            if (progress.bytes_done, progress.total_bytes) != (request.status.bytes_done, request.status.total_bytes):
                fields["progress"] = {"totalBytes": progress.total_bytes, "bytesDone": progress.bytes_done}
        if fields:
            self._write(request, fields)
            memory.reported_at = now

    def _release(self, request: R) -> None:
        name, meta = request.meta.name, request.meta
        self._exposer.clean_up(request, keep_volume=request.status.phase is Phase.COMPLETED)
        self._slots.give_back(meta.uid)
        self._memories.pop(name, None)
        if FINALIZER in meta.finalizers:
            rest = [finalizer for finalizer in meta.finalizers if finalizer != FINALIZER]
            patch = {"metadata": {"resourceVersion": meta.resource_version, "finalizers": rest}}
            try:
                self._client.merge_patch(self.resource, name, patch, self._namespace)
            except NotFoundError:
                return

    def _write(self, request: R, fields: Mapping[str, Any]) -> None:
        patch = {"metadata": {"resourceVersion": request.meta.resource_version}, "status": dict(fields)}
        self._client.merge_patch(self.resource, request.meta.name, patch, self._namespace)

    def _log(self, name: str, phase: Phase, text: str) -> None:
        logger.info("%s %s/%s: %s%s", self.resource.kind, self._namespace, name, phase, f", {text}" if text else "")

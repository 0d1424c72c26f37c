"""Settings of the controller."""

from __future__ import annotations

import dataclasses
import platform

from velero_py_plugin.api.names import MOVER_NAME


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the controller works; times are in seconds.

    Attributes:
        mover_names: ``spec.datamover`` of the requests it fulfils. Add ``""`` and ``velero`` only where no node-agent
            runs: two movers on one request destroy each other's work.
        node: Written to ``status.acceptedByNode``.
        max_concurrent_moves: Movers that run at once; further requests wait, prepared, in the order they came.
        prepare_timeout: From Accepted to Prepared (``--data-mover-prepare-timeout`` of Velero's node-agent).
        poll_interval: Between two looks at a running mover.
        wait_interval: Between two looks at a request that waits for something outside this process.
        progress_interval: At least this long between two writes of progress.
        resync_interval: Between two looks at every object, whatever the watch reports; whole seconds.
        mover_attempts: How often the mover of one request is started when it fails for a passing cause.
        retry_delay: Before the second start; doubled for each further one.
        binding_timeout: For handing the restored volume over, where the request names no operation timeout.
        repository_grace: How long a new BackupRepository made by somebody else is left to Velero's own server.
        maintenance_frequency: Between two maintenance runs of a repository this controller initialises.
        error_delay: Before the second try of a pass that failed; doubled for each further one, up to a minute.
    """

    mover_names: frozenset[str] = frozenset({MOVER_NAME})
    node: str = dataclasses.field(default_factory=platform.node)
    max_concurrent_moves: int = 2
    prepare_timeout: float = 30 * 60.0
    poll_interval: float = 1.0
    wait_interval: float = 5.0
    progress_interval: float = 2.0
    resync_interval: int = 60
    mover_attempts: int = 3
    retry_delay: float = 10.0
    binding_timeout: float = 10 * 60.0
    repository_grace: float = 30.0
    maintenance_frequency: float = 60 * 60.0
    error_delay: float = 1.0

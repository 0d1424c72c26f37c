"""What the reconcilers ask of whoever exposes volumes and runs movers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Protocol, TypeAlias

from velero_py_plugin.api.data_download import DataDownload
from velero_py_plugin.api.data_upload import DataUpload
from velero_py_plugin.api.mover import MoverResult, Progress
from velero_py_plugin.controller.repository_access import RepositoryAccess

Request: TypeAlias = DataUpload | DataDownload


@dataclasses.dataclass(frozen=True)
class Exposure:
    """A volume a mover can reach.

    Attributes:
        path: Where the mover finds the volume.
        node: Where the mover runs.
        node_os: Operating system of that node.
    """

    path: str
    node: str
    node_os: str = "linux"


@dataclasses.dataclass(frozen=True)
class MoverRunning:
    """The mover works.

    Attributes:
        progress: The last progress it reported.
    """

    progress: Progress


@dataclasses.dataclass(frozen=True)
class MoverEnded:
    """The mover ended and said how.

    Attributes:
        result: Its result.
    """

    result: MoverResult


@dataclasses.dataclass(frozen=True)
class MoverLost:
    """The mover ended, or cannot be found, without having said how.

    Attributes:
        message: One sentence with what is known: exit code or signal, and its last words.
    """

    message: str


MoverState: TypeAlias = MoverRunning | MoverEnded | MoverLost


class Exposer(Protocol):
    """Exposes volumes and runs movers; one implementation per way of running them.

    Every method is idempotent, returns soon and may be called from any thread, for one request from one thread at a
    time. What is created bears names derived from the request's name and uid, so that a controller that starts anew
    finds it again. A method that cannot do its work yet raises a ``TemporaryError``, one that never will a
    ``PermanentError``.
    """

    def expose(self, request: Request) -> Exposure:
        """Makes the snapshot (upload) or an empty volume for the target claim (download) reachable."""
        ...

    def start(self, request: Request, exposure: Exposure, access: RepositoryAccess) -> None:
        """Starts the mover, again if an earlier one has ended; does nothing while one runs."""
        ...

    def observe(self, request: Request) -> MoverState | None:
        """Tells how the mover does; ``None`` if none was ever started for this request."""
        ...

    def stop(self, request: Request) -> None:
        """Asks the mover to stop, and forces it when it has been asked long ago."""
        ...

    def bind(self, download: DataDownload) -> None:
        """Hands the restored volume to the target claim; returns once the claim is bound to it."""
        ...

    def clean_up(self, request: Request, *, keep_volume: bool) -> None:
        """Removes what this request needed while it ran.

        Args:
            request: The request, terminal.
            keep_volume: Whether the restored volume now belongs to the target claim.
        """
        ...

    def abandon(self, uid: str) -> None:
        """Stops and removes everything of a request that no longer exists."""
        ...

    def held(self) -> Collection[str]:
        """The uids of the requests for which something exists, including what an earlier process left behind."""
        ...

"""An application to back up: a namespace with a claim full of files."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.support.velero_server import VeleroServer, wait_until
from velero_py_plugin.api.resource import NAMESPACE, PV, PVC
from velero_py_plugin.kube.errors import NotFoundError
from velero_py_plugin.testing.csi_directory import STORAGE_CLASS_NAME
from velero_py_plugin.testing.tree import Difference, compare_trees, generate_tree

CLAIM: Final = "data"
_FILES: Final = 150
_LARGE_FILE_BYTES: Final = 6_000_000


class Application:
    """A namespace that no other test uses, with one claim; its files are copied aside to be compared with later.

    Args:
        server: The cluster to make it in.

    Attributes:
        namespace: Its namespace.
        original: The copy of its files.
    """

    def __init__(self, server: VeleroServer) -> None:
        self._server = server
        self.namespace = f"shop-{uuid.uuid4().hex[:8]}"
        self.original = server.folder / "originals" / self.namespace
        self.original.parent.mkdir(exist_ok=True)
        generate_tree(self.original, files=_FILES, large_file_bytes=_LARGE_FILE_BYTES)
        server.kube.create(NAMESPACE, {"metadata": {"name": self.namespace}})
        self.add_claim(CLAIM)
        subprocess.run(["cp", "--archive", "--no-target-directory", self.original, self.volume()], check=True)

    def add_claim(self, name: str, selector: dict[str, str] | None = None) -> None:
        """Creates a claim; without a selector also waits for its volume."""
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": STORAGE_CLASS_NAME,
        }
        if selector:
            spec["selector"] = {"matchLabels": selector}
        self._server.kube.create(PVC, {"metadata": {"name": name}, "spec": spec}, self.namespace)
        if not selector:
            wait_until(lambda: self._is_bound(name), f"the claim {self.namespace}/{name} bound to a volume")

    def volume(self, claim: str = CLAIM, namespace: str = "") -> Path:
        """The folder behind a claim's volume."""
        bound = self._server.kube.get(PVC, claim, namespace or self.namespace)
        volume = self._server.kube.get(PV, bound["spec"]["volumeName"])
        return self._server.csi.path_of_volume(volume["spec"]["csi"]["volumeHandle"])

    def differences(self, namespace: str = "") -> list[Difference]:
        """What in the claim's volume is not as it was."""
        return compare_trees(self.original, self.volume(namespace=namespace))

    def delete_claim(self) -> None:
        """Deletes the claim; the storage removes the volume."""
        kube, volume = self._server.kube, self.volume()
        kube.delete(PVC, CLAIM, self.namespace)
        wait_until(lambda: is_gone(lambda: kube.get(PVC, CLAIM, self.namespace)), f"{self.namespace}/{CLAIM} gone")
        wait_until(lambda: not volume.exists(), f"the folder of the volume of {self.namespace}/{CLAIM} gone")

    def destroy(self) -> None:
        """Deletes everything there is of it but what the storage keeps."""
        # The claim first: a namespace that still finds it looks again only after eight seconds.
        self.delete_claim()
        kube = self._server.kube
        kube.delete(NAMESPACE, self.namespace)
        wait_until(lambda: is_gone(lambda: kube.get(NAMESPACE, self.namespace)), f"namespace {self.namespace} gone")

    def _is_bound(self, claim: str) -> bool:
        found = self._server.kube.get(PVC, claim, self.namespace)
        return bool((found.get("status") or {}).get("phase") == "Bound")


def is_gone(get: Callable[[], object]) -> bool:
    """Whether an object does not exist any more."""
    try:
        get()
    except NotFoundError:
        return True
    return False

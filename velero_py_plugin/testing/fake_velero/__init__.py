"""The part of Velero's server that a CSI volume meets: one claim backed up and restored through a plugin executable.

Plays the sequence of Velero 1.18 with ``EnableCSI`` and without ``snapshotMoveData``, as it was observed on a real
server: the same actions in the same order on the same objects, the plugin as a process of its own, and a fresh process
for each look at a running operation. What is not played: filters, hooks, volume policies, file-system backup, and
holding an item back for its additional items.
"""

from velero_py_plugin.testing.fake_velero.operation import Operation
from velero_py_plugin.testing.fake_velero.server import BackupOutcome, FakeVelero, RestoreOutcome
from velero_py_plugin.testing.fake_velero.tarball import BackupTarball, stored_items

__all__ = ["BackupOutcome", "BackupTarball", "FakeVelero", "Operation", "RestoreOutcome", "stored_items"]

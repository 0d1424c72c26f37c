"""The name of one object, as actions and Velero exchange it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ResourceIdentifier:
    """Names one Kubernetes object, whatever its API version.

    Attributes:
        group: API group, empty for the core group.
        resource: Lower-case plural resource name, such as ``persistentvolumeclaims``.
        namespace: Namespace, empty for cluster-scoped objects.
        name: Object name.
    """

    group: str
    resource: str
    namespace: str
    name: str

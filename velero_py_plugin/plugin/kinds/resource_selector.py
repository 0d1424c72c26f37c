"""Which objects an action wants to see."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ResourceSelector:
    """Which objects Velero hands to an action.

    An empty selector means every resource in every namespace. Excludes win over includes; the lists hold glob patterns
    (velero v1.18.1 ``pkg/plugin/velero/shared.go``, ``pkg/util/collections/includes_excludes.go``).

    Attributes:
        included_namespaces: Namespaces to look at; empty means all. Anything but all also shuts out cluster-scoped
            objects.
        excluded_namespaces: Namespaces to leave out.
        included_resources: Resources to look at; empty means all. Write ``plural.group`` in full
            (``volumesnapshots.snapshot.storage.k8s.io``), and the bare plural for the core group: that form matches
            even while the resource is not installed yet.
        excluded_resources: Resources to leave out, in the same form.
        label_selector: A Kubernetes label selector, such as ``app=web,tier!=cache``.
    """

    included_namespaces: tuple[str, ...] = ()
    excluded_namespaces: tuple[str, ...] = ()
    included_resources: tuple[str, ...] = ()
    excluded_resources: tuple[str, ...] = ()
    label_selector: str = ""

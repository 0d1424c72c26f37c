"""Which objects an action gets to see.

Source: vmware-tanzu/velero v1.18.1 ``pkg/plugin/framework/action_resolver.go``,
``pkg/util/collections/includes_excludes.go``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import ClassVar

from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.errors import PermanentError
from velero_py_plugin.plugin.kinds import ResourceSelector


class LabelSelectorNotPlayedError(PermanentError):
    """An action selects by label, which this stand-in does not evaluate."""

    reason: ClassVar[str] = "LabelSelectorNotPlayed"


def selects(selector: ResourceSelector, resource: ResourceType, namespace: str) -> bool:
    """Whether an action's selector matches an object.

    Args:
        selector: What the action's ``AppliesTo`` answered.
        resource: Type of the object.
        namespace: Namespace of the object, for a restore the one it is restored to; empty for cluster-scoped objects,
            which only a selector of all namespaces matches.

    Raises:
        LabelSelectorNotPlayedError: The selector has labels.
    """
    if selector.label_selector:
        raise LabelSelectorNotPlayedError(f"The label selector {selector.label_selector!r} cannot be evaluated here.")
    if not _included(resource.group_resource, selector.included_resources, selector.excluded_resources):
        return False
    if namespace:
        return _included(namespace, selector.included_namespaces, selector.excluded_namespaces)
    return set(selector.included_namespaces) <= {"*"} and not selector.excluded_namespaces


def _included(name: str, included: Sequence[str], excluded: Sequence[str]) -> bool:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in excluded):
        return False
    return not included or any(fnmatch.fnmatchcase(name, pattern) for pattern in included)

"""Which objects an action's selector matches."""

from __future__ import annotations

import pytest

from velero_py_plugin.api.resource import PV, PVC, VOLUME_SNAPSHOT, ResourceType
from velero_py_plugin.plugin.kinds import ResourceSelector
from velero_py_plugin.testing.fake_velero.selection import LabelSelectorNotPlayedError, selects


@pytest.mark.parametrize(
    ("selector", "resource", "namespace", "selected"),
    [
        (ResourceSelector(), PVC, "app", True),
        (ResourceSelector(), PV, "", True),
        (ResourceSelector(included_resources=("*",)), PVC, "app", True),
        (ResourceSelector(included_resources=("persistentvolumeclaims",)), PVC, "app", True),
        (ResourceSelector(included_resources=("persistentvolumeclaims",)), PV, "", False),
        (ResourceSelector(included_resources=("volumesnapshots.*",)), VOLUME_SNAPSHOT, "app", True),
        (ResourceSelector(included_resources=("volumesnapshots",)), VOLUME_SNAPSHOT, "app", False),
        (ResourceSelector(included_resources=("*",), excluded_resources=("persistent*",)), PVC, "app", False),
        (ResourceSelector(included_namespaces=("app",)), PVC, "app", True),
        (ResourceSelector(included_namespaces=("app",)), PVC, "other", False),
        (ResourceSelector(included_namespaces=("app",)), PV, "", False),
        (ResourceSelector(included_namespaces=("*",)), PV, "", True),
        (ResourceSelector(excluded_namespaces=("app",)), PVC, "app", False),
        (ResourceSelector(excluded_namespaces=("app",)), PV, "", False),
    ],
)
def test_excludes_win_and_cluster_scope_needs_all_namespaces(
    selector: ResourceSelector, resource: ResourceType, namespace: str, selected: bool
) -> None:
    assert selects(selector, resource, namespace) is selected


def test_labels_are_refused_rather_than_ignored() -> None:
    with pytest.raises(LabelSelectorNotPlayedError, match="tier=gold"):
        selects(ResourceSelector(label_selector="tier=gold"), PVC, "app")

"""Velero's plugin protocol: author classes in, go-plugin process out.

A plugin is a program that Velero starts, made of actions::

    from velero_py_plugin.plugin import kinds
    from velero_py_plugin.plugin.serve import serve

    class Annotate(kinds.BackupItemActionV2):
        def applies_to(self) -> kinds.ResourceSelector:
            return kinds.ResourceSelector(included_resources=("configmaps",))

        def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
            request.item["metadata"].setdefault("annotations", {})["example.io/seen"] = "yes"
            return kinds.BackupItemActionResult(request.item)

    serve({"example.io/annotate": Annotate})

``kinds`` and ``serve`` are all an author needs. Importing this package, or ``kinds``, loads no gRPC; ``serve`` does.
"""

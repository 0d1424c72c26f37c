"""The product's own plugin actions: data upload on backup, data download on restore.

One file per Kubernetes kind. Actions know ``plugin.kinds``, ``kube`` and ``api``; gRPC never shows here.
"""

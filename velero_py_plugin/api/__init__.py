"""What crosses a process boundary: Velero's custom resources, and what a mover is told and answers.

Plain data only. No Kubernetes client, no gRPC, no repository.
"""

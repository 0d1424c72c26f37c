"""A small Kubernetes API client for any resource type."""

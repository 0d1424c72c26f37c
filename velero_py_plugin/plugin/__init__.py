"""Velero's plugin protocol: author classes in, go-plugin process out."""

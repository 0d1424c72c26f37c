"""Snapshots of folders: directory objects, snapshot manifests, upload and restore."""

"""Where a repository's blobs are kept: the storage protocol, its backends and wrappers."""

"""Velero plugin SDK, CSI snapshot data mover and Kopia repository library.

Importing this package loads nothing else: neither gRPC nor a cloud SDK.
"""

__version__ = "0.1.0.dev0"

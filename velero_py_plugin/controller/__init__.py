"""Fulfils DataUploads and DataDownloads: watches them, exposes volumes, starts movers, publishes status.

No volume byte passes through this process.
"""

"""``velero-py demo``: backup, disaster and restore on embedded servers."""

"""``velero-py demo``: backup, disaster and restore on embedded servers.

Nothing here is a stub: the plugin is the installed executable, started and called as Velero does; the controller and
the mover processes are the product's; the S3 server is a real one. Played are only Velero's server, the cluster's API
server and its storage driver, by the public test tools.
"""

"""A plugin process as a go-plugin host expects it: handshake, socket, infrastructure services, life and death.

Knows nothing of what the plugin is for: no word of Velero appears here. Follows hashicorp/go-plugin v1.6.0, which
Velero 1.14 to 1.18.1 link, and works with v1.4.3 and v1.7.0, which older and newer ones do.
"""

"""The few calls of the Kubernetes API this project makes, over one small HTTP client.

Why not the official client: a plugin process starts anew for every call of Velero's progress poll, and the official
client costs four times the import time and several times the memory of what is here.
"""

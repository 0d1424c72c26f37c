"""The protocol's message definitions, and the program that turns them into Python (``make proto``)."""

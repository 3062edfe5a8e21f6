"""The lowest room: the embedded server, connections, the one commit place, clock, ids and settings.

Knows nothing of money. Imports no other room.
"""

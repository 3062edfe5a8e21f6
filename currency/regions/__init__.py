"""Regions: the cities on this platform. Each has a schema and a book of its own; this is only their list."""

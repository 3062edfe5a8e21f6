"""Measurements beside a peer in the same minutes. No test depends on them."""

"""A database of its own for what really commits: embedding, and the index."""

from tests.feedback.conftest import own_engine

__all__ = ["own_engine"]

"""A database of its own for what really commits: loads, and processes that meet."""

from tests.feedback.conftest import own_engine

__all__ = ["own_engine"]

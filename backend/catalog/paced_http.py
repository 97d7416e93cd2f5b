"""HTTP connections that wait for their turn in the very moment before they send.

Between a turn that is taken early and its request a thread may be kept from running, by the encoder for one: then
two requests come at once, and the other side counts one too many.
"""

from collections.abc import Callable
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager, ProxyManager

Wait = Callable[[], None]


class PacedAdapter(HTTPAdapter):
    """Keeps so many connections, directly or through a proxy; before each request it calls what waits."""

    def __init__(self, wait: Wait, *, connections: int) -> None:
        self._wait = wait
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*arguments, **options)
        self._pace(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> ProxyManager:
        """The pools of connections through a proxy."""
        manager: ProxyManager = super().proxy_manager_for(*arguments, **options)
        self._pace(manager)
        return manager

    def _pace(self, manager: PoolManager) -> None:
        pools = manager.pool_classes_by_scheme
        if not any(hasattr(pool, "paced") for pool in pools.values()):
            manager.pool_classes_by_scheme = {scheme: _paced(pool, self._wait) for scheme, pool in pools.items()}


def _paced(pool: Any, wait: Wait) -> Any:
    """A class of pools like that one, whose connections wait."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def send(self, data: Any) -> None:
            # Connecting takes its time too.
            if self.sock is None:
                self.connect()
            wait()
            super().send(data)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection, "paced": True})

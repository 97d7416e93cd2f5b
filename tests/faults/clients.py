"""Clients that go on asking and telling while things break, and note what they see."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self

import requests

from tests.faults.world import World
from tests.test_serve import Service

WELL_FOR = 1.0
"""Seconds without a sign of trouble after which all is well."""
PATIENCE = 60.0
NOBODY = 0
"""The status of a request that was not answered."""


@dataclass(frozen=True)
class Seen:
    """An answer, as its client saw it."""

    at: float
    """When it was there."""
    seconds: float
    status: int
    degraded: bool
    source: str


class Clients:
    """One that reads and one that writes, from the beginning of the block to its end."""

    def __init__(self, service: Service, world: World, *, writes: bool = True, pause: float = 0.03) -> None:
        self._service = service
        self._world = world
        self._pause = pause
        self._stop = threading.Event()
        self.reads: list[Seen] = []
        self.writes: list[Seen] = []
        self.repeated: list[tuple[str, int]] = []
        """Recommendations of what a person had already: nobody should see one."""
        self.acknowledged: set[tuple[str, int]] = set()
        work = [self._read, self._write] if writes else [self._read]
        self._threads = [threading.Thread(target=self._go_on, args=(one,)) for one in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_until_well(self, since: float) -> float:
        """The seconds from that moment until the last sign of trouble, once there are no more."""
        deadline = time.monotonic() + PATIENCE
        while True:
            trouble = [seen.at for seen in self._all() if seen.degraded or seen.status != 200]
            last = max([since, *trouble])
            quiet_since = [seen for seen in self._all() if seen.at > last]
            if quiet_since and time.monotonic() - last > WELL_FOR:
                return last - since
            assert time.monotonic() < deadline, f"not well again: {self._all()[-3:]}"
            time.sleep(0.05)

    def check(self) -> str:
        """Assert that no read failed and nothing is lost, as of now; what clients saw, in a line."""
        failed = [seen for seen in self.reads if seen.status != 200]
        assert not failed, f"{len(failed)} reads failed: {failed[:3]}"
        assert not self.repeated, self.repeated[:3]
        assert {seen.status for seen in self.writes} <= {200, 503}, {seen.status for seen in self.writes}
        assert not self.lost()
        degraded = sum(seen.degraded for seen in self.reads)
        slowest = max(seen.seconds for seen in self.reads)
        told = f"{len(self.reads)} reads, each answered, {degraded} of them from files, within {slowest:.2f} s"
        return told + (f"; {self._told_of_writes()}" if self.writes else "")

    def lost(self) -> set[tuple[str, int]]:
        """What was acknowledged and is not stored."""
        stored = self._world.ask(
            "SELECT external_id, movie_id FROM interactions JOIN users ON users.id = user_id "
            "WHERE external_id LIKE 'writer %'"
        )
        return self.acknowledged - {(str(person), int(film)) for person, film in stored}

    def _told_of_writes(self) -> str:
        refused = [seen.seconds for seen in self.writes if seen.status == 503]
        stored = f"{len(self.writes) - len(refused)} writes stored"
        return stored + (f", {len(refused)} refused with a 503 within {max(refused):.2f} s" if refused else "")

    def _all(self) -> list[Seen]:
        return [*self.reads, *self.writes]

    def _go_on(self, work: Callable[[requests.Session, int], None]) -> None:
        with requests.Session() as session:
            for number in count():
                if self._stop.wait(self._pause):
                    return
                work(session, number)

    def _read(self, session: requests.Session, number: int) -> None:
        film = self._world.films[number * 7 % len(self._world.films)]
        person = f"person {number % len(self._world.done)}"
        # The address is a new one each time: no answer is one that was kept.
        path = (f"/similar/{film}?exclude={number + 1}", f"/recommendations/{person}?n=20", f"/movies/{film}")
        seen, answer = self._ask(session, "GET", path[number % 3])
        if number % 3 == 1 and seen.status == 200:
            found = {row["id"] for row in answer["results"]}
            self.repeated += [(person, one) for one in found & self._world.done[person]]
        self.reads.append(seen)

    def _write(self, session: requests.Session, number: int) -> None:
        person, film = f"writer {time.time_ns()}", self._world.films[number % len(self._world.films)]
        body = {"user_id": person, "movie_id": film, "kind": "like"}
        seen, answer = self._ask(session, "POST", "/interactions", json=body)
        if seen.status == 200:
            assert answer["stored"] == 1
            self.acknowledged.add((person, film))
        self.writes.append(seen)

    def _ask(self, session: requests.Session, method: str, path: str, **options: Any) -> tuple[Seen, Any]:
        begun = time.monotonic()
        try:
            response = session.request(method, self._service.address + path, timeout=30, **options)
            status, answer = response.status_code, response.json()
        except requests.RequestException as error:
            status, answer = NOBODY, {"source": repr(error)}
        now = time.monotonic()
        degraded = bool(answer.get("degraded", False))
        return Seen(now, now - begun, status, degraded, str(answer.get("source", ""))), answer

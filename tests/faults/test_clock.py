"""A clock that is set back while the service and its scheduler run; only where there is a C compiler."""

import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, wait_until_well
from tests.test_embedded_postgres import eventually

pytestmark = pytest.mark.faults

DAY = 86_400
SHIFTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
    static volatile long *seconds;
    if (!seconds) {
        int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
        seconds = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    }
    return *seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *given) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (given) *given = precise.tv_sec;
    return precise.tv_sec;
}
"""
"""A library that stands before the system's: the time of day of whoever loads it is what a file adds to it."""


class Clock:
    """The clock of the processes that are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        source, library, self._file = folder / "clock.c", folder / "clock.so", folder / "shift"
        source.write_text(SHIFTED)
        self.set(0)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self._file)}

    def set(self, seconds: int) -> None:
        """So far from the true time."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("l", seconds))


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_a_clock_set_back_changes_nothing(world: World, ledger: Ledger, tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    with world.serving(**clock.environment) as service:
        wait_until_well(service)
        eventually(lambda: service.ask("/jobs").json()["scheduler_running"], "there is a scheduler")
        with Clients(service, world) as clients:
            time.sleep(1)
            clock.set(-DAY)
            told = service.ask("/recommendations/nobody").json()["generated_at"]
            assert told < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - DAY / 2))
            requests.post(f"{service.address}/jobs/cache/run", timeout=10).raise_for_status()
            done = "SELECT outcome FROM job_runs"
            eventually(lambda: world.ask(done) == [("succeeded",)], "what was asked for is run")
            time.sleep(2)
            clock.set(0)
            time.sleep(1)
            took = clients.wait_until_well(time.monotonic())
        seen = clients.check()
        assert not [one for one in clients.reads + clients.writes if one.degraded or one.status != 200]
        assert world.ask("SELECT DISTINCT job FROM job_runs") == [("cache",)]
        service.end(signal.SIGTERM)
    ledger.fault(
        "clock of the service set back a day, and forward again",
        clients_see=f"{seen}; a job that was asked for is run, and none twice",
        lost="nothing",
        well_again_after=took,
    )

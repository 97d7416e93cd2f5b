"""The scheduler beside the service: a child process that is started again if it dies, and ends with its parent."""

import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self

import structlog

log = structlog.get_logger()

COMMAND = (sys.executable, "-m", "backend", "scheduler", "--while-stdin-is-open")
LONGEST_PAUSE = 60
"""Seconds until it is started again, at most; the first pause is one second long, each further one twice that."""
END_SECONDS = 8
"""For an end in order: less than the ten seconds that Docker gives to the whole container."""


class SchedulerCompanion:
    """Within the block there is a scheduler.

    It holds the reading end of a pipe whose writing end is here. When this process is gone, in whatever way, the
    kernel closes the pipe, and the scheduler notices: on every system, and without asking for pids, which are used
    again. (PR_SET_PDEATHSIG is Linux's alone, and is about the thread that started the child.)
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="scheduler", daemon=True)

    def __enter__(self) -> Self:
        """Start it."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it in order, or else by force: its jobs are made for that."""
        self._ending.set()
        with self._lock:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("scheduler_ends_slowly", pid=process.pid)
            process.kill()
            process.wait()

    def _keep(self) -> None:
        pause = 1
        while process := self._start():
            since = time.monotonic()
            with process:
                code = process.wait()
            if self._ending.is_set():
                return
            if time.monotonic() - since > LONGEST_PAUSE:
                pause = 1
            log.warning("scheduler_died", exit_code=code, seconds_to_the_next=pause)
            self._ending.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _start(self) -> "subprocess.Popen[bytes] | None":
        """None when the end has come meanwhile."""
        with self._lock:
            if self._ending.is_set():
                return None
            # A session of its own: Ctrl-C is for the service, which ends the scheduler in its turn.
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
            return self._process

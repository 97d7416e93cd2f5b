"""When jobs are due: at an hour of the time zone that TZ names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DUE = """
import datetime as dt
from backend.operations.hours import next_due, previous_due
now = dt.datetime.fromisoformat("{now}")
for due in (previous_due(3, now), next_due(3, now)):
    print(due.astimezone(dt.UTC).isoformat())
"""


def due_at_three(zone: str, now: str) -> list[str]:
    """When a job of three o'clock was due last and is due next, in UTC, in a process of that time zone."""
    environment = os.environ | {"TZ": zone, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DUE.format(now=now)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return run.stdout.split()


@pytest.mark.parametrize(
    ("zone", "last", "next_"),
    [
        ("UTC", "2026-01-15T03:00:00+00:00", "2026-01-16T03:00:00+00:00"),
        ("Asia/Tokyo", "2026-01-14T18:00:00+00:00", "2026-01-15T18:00:00+00:00"),
        ("America/New_York", "2026-01-15T08:00:00+00:00", "2026-01-16T08:00:00+00:00"),
    ],
)
def test_tz_sets_the_zone_of_the_hours(zone: str, last: str, next_: str) -> None:
    assert due_at_three(zone, "2026-01-15T12:00:00+00:00") == [last, next_]


def test_an_hour_stays_what_the_clock_on_the_wall_says_when_summer_comes() -> None:
    assert due_at_three("Europe/Berlin", "2026-03-29T12:00:00+00:00") == [
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T01:00:00+00:00",
    ]
    assert due_at_three("Europe/Berlin", "2026-03-28T12:00:00+00:00")[0] == "2026-03-28T02:00:00+00:00"

"""The jobs that recur, and when each is due: once a day, at an hour of local time."""

import datetime as dt

from apscheduler.triggers.cron import CronTrigger

from backend.config import Settings

JOBS = {
    "ingest": "Refresh the catalogue from TMDB.",
    "embeddings": "Embed the films whose text or model has changed.",
    "index": "Build and tune the vector index where the catalogue has outgrown it.",
    "train": "Factorise what people did with films.",
    "cache": "Write the file cache anew.",
}
"""Name to description, in the order in which one rests on another."""


def job_hours(settings: Settings) -> dict[str, int]:
    """The hour of each job."""
    return {
        "ingest": settings.ingest_hour,
        "embeddings": settings.embeddings_hour,
        "index": settings.index_hour,
        "train": settings.train_hour,
        "cache": settings.cache_hour,
    }


def next_due(hour: int, now: dt.datetime) -> dt.datetime:
    """When a job of that hour is due next."""
    due: dt.datetime = CronTrigger(hour=hour).get_next_fire_time(None, now)
    return due


def previous_due(hour: int, now: dt.datetime) -> dt.datetime:
    """When a job of that hour was due last; the same moment whoever asks, and however late."""
    # Two days back, because the hour may be one that the change to summer time leaves out.
    due = next_due(hour, now - dt.timedelta(days=2))
    while (following := next_due(hour, due + dt.timedelta(seconds=1))) <= now:
        due = following
    return due

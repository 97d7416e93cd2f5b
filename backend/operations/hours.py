"""The jobs that recur, and when each is due: once a day, at an hour of local time."""

import datetime as dt

from apscheduler.triggers.cron import CronTrigger

from backend.config import Settings

JOBS = {
    "ingest": "Refresh the catalogue from TMDB.",
    "embeddings": "Embed the films whose text or model has changed.",
    "index": "Build and tune the vector index where the catalogue has outgrown it.",
    "train": "Learn taste from what people did with films.",
    "cache": "Write the file cache and the map of films anew.",
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
    """When a job of that hour was due last; the same moment whoever asks, and however late.

    Once a day: where the clocks go back, the first of the two hours.
    """
    local = now.astimezone(CronTrigger(hour=hour).timezone)
    due = local.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    if due.astimezone(dt.UTC) > now:
        due -= dt.timedelta(days=1)
    return due.astimezone(dt.UTC)

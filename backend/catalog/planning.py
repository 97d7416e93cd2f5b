"""What is to be fetched: films that people wait for, lists, changes, the export of all ids, what has grown old."""

import datetime as dt
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy.orm import Session

from backend.catalog.changes import fetch_changed
from backend.catalog.export import fetch_export
from backend.catalog.listings import Place, Rows, fetch_rows
from backend.catalog.queue_store import (
    SOURCE,
    enqueue,
    enqueue_export,
    enqueue_known,
    enqueue_pending,
    enqueue_stale,
    film_name,
    find_position,
    find_rejected,
    move_position,
    reject,
    stage_export,
)
from backend.catalog.records import MovieRecord, UnusableRecordError, figures, parse_record
from backend.catalog.store import Upserted, find_fetched, upsert
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbClient
from backend.catalog.values import as_text, whole
from backend.database import session_scope
from backend.errors import TmdbError, TmdbKeyError, TmdbUnreachableError

FRESH_FOR = dt.timedelta(days=7)
"""So long a film's details are not fetched again, unless TMDB says that they changed."""
LISTS_EVERY = dt.timedelta(days=7)
"""So often the lists are read anew by night: changes tell nothing of films that were not known."""
GONE_FOR = dt.timedelta(days=30)
"""So long a film that TMDB does not have is not asked for again, though someone has an opinion of it."""
LISTS, PAGES, CHANGES, EXPORT = "lists", "pages", "changes", "export"
"""The sources whose position is kept."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a run is to bring, beside what an earlier one left undone."""

    lists: bool = False
    """The most-voted films, and some of the curated lists …"""
    pages: int | None = None
    """… or so many pages of these alone."""
    since: dt.date | None = None
    """What changed from this day on."""
    stale_after: dt.timedelta | None = None
    """What was fetched so long ago."""
    everything: bool = False
    """Every film of the daily export …"""
    export_url: str = ""
    """… from here …"""
    include_adult: bool = False
    """… with those flagged as adult."""


class Planner:
    """Fills the queue: at first with what can be known at once, then from the lists, a page at a time.

    While the films of a page are being fetched the next page is on its way: use it in a `with`, which ends that.
    """

    def __init__(self, client: TmdbClient, summary: LoadSummary) -> None:
        self._client = client
        self._summary = summary
        self._place: Place | None = None
        self._kept_as = LISTS
        self._rows: Rows = []
        self._rejected: list[tuple[str, str, str]] = []
        """Of these rows the ones that could not be used: their names, the reasons, what stood there."""
        self._seen: set[int] = set()
        self._coming: Future[tuple[Rows, Place | None]] | None = None
        self._missed: Place | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lists")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, wanted: Wanted, *, now: dt.datetime) -> None:
        """Plan a run. Raises TmdbError where that is impossible."""
        with session_scope() as session:
            enqueue_pending(session, again_after=GONE_FOR)
            if wanted.stale_after is not None:
                enqueue_stale(session, fetched_before=now - wanted.stale_after)
            if find_position(session, CHANGES) is None:
                # What comes from now on is as new as that; what changes later is asked for from today on.
                move_position(session, CHANGES, {"day": now.date().isoformat()})
        if wanted.everything:
            self._plan_export(wanted, now)
        if wanted.since is not None:
            self._plan_changes(wanted, wanted.since, now.date())
        if wanted.lists:
            self._kept_as = PAGES if wanted.pages else LISTS
            with session_scope() as session:
                self._place = _standing(session, self._kept_as, Place.first(wanted.pages), now)

    def plan_pending(self) -> None:
        """Put what people have come to wait for since the beginning before all else."""
        with session_scope() as session:
            enqueue_pending(session, again_after=GONE_FOR)

    def step(self) -> bool:
        """Put a further page of the lists into the queue; False where there is none. Raises TmdbError."""
        place = self._place
        if place is None:
            return False
        self._rows, self._place = self._page(place)
        self._coming = self._ask(self._place) if self._place else None
        films, now = self._usable(place), dt.datetime.now(dt.UTC)
        next_place = self._place or self._missed
        with session_scope() as session:
            self._put(session, {film.id: film for film in films}, now)
            for name, reason, record in self._rejected:
                reject(session, SOURCE, name, reason, record)
            standing = next_place.to_position() if next_place else None
            move_position(session, self._kept_as, {"place": standing, "read_at": now.isoformat()})
        return True

    def _ask(self, place: Place) -> "Future[tuple[Rows, Place | None]]":
        return self._pool.submit(fetch_rows, self._client, place, unlike=self._rows)

    def _page(self, place: Place) -> tuple[Rows, Place | None]:
        """The films of a page, and the place of the next; the rest of one that fails is left to the next run."""
        try:
            return (self._coming or self._ask(place)).result()
        except (TmdbKeyError, TmdbUnreachableError):
            raise
        except TmdbError as error:
            self._summary.fail(f"list {place.name}", str(error))
            missed = self._missed or replace(place, lists=())
            self._missed = replace(missed, lists=(*missed.lists, place.name))
            return [], place.next_list()

    def _usable(self, place: Place) -> list[MovieRecord]:
        """The films of a page that no page before had."""
        films, self._rejected = [], []
        for number, row in enumerate(self._rows, start=1):
            film = whole(row.get("id"), low=1) if isinstance(row, Mapping) else None
            if film in self._seen:
                continue
            try:
                films.append(parse_record(row))
            except UnusableRecordError as error:
                name = film_name(film) if film else f"list {place.name}, page {place.page}, film {number}"
                self._rejected.append((name, str(error), as_text(row)))
                self._summary.fail(name, str(error))
            if film:
                self._seen.add(film)
        return films

    def _put(self, session: Session, films: dict[int, MovieRecord], now: dt.datetime) -> None:
        """Queue what is not fresh; a fresh film needs no more than its newest figures."""
        fresh = find_fetched(session, list(films), since=now - FRESH_FOR)
        others = [figures(films[id]) for id, votes in fresh.items() if films[id].vote_count != votes]
        self._summary.upserted += upsert(session, others, source="tmdb")
        self._summary.upserted += Upserted(unchanged=len(fresh) - len(others))
        unusable = find_rejected(session, SOURCE, [film_name(id) for id in films], since=now - FRESH_FOR)
        wanted = {id for id in films.keys() - fresh.keys() if film_name(id) not in unusable}
        enqueue(session, {id: films[id].vote_count for id in wanted}, "list")

    def _plan_changes(self, wanted: Wanted, since: dt.date, until: dt.date) -> None:
        """All of it at once, so that a run that is cut off here has planned nothing.

        Where TMDB does not tell, there is other work, and the next run asks for these days again.
        """
        changed: dict[int, bool] = {}
        try:
            for page in fetch_changed(self._client, since=since, until=until):
                changed |= page
        except (TmdbKeyError, TmdbUnreachableError):
            raise
        except TmdbError as error:
            self._summary.fail("changes", str(error))
            return
        with session_scope() as session:
            enqueue_known(session, sorted(changed), "change")
            if find_position(session, EXPORT) is not None:
                others = (id for id, adult in changed.items() if wanted.include_adult or not adult)
                enqueue(session, dict.fromkeys(others, 0.0), "change")
            move_position(session, CHANGES, {"day": until.isoformat()})

    def _plan_export(self, wanted: Wanted, now: dt.datetime) -> None:
        export = fetch_export(
            wanted.export_url, now=now, include_adult=wanted.include_adult, faults=self._summary.faults
        )
        with export as films, session_scope() as session:
            stage_export(session, films)
            enqueue_export(session, fetched_before=now - FRESH_FOR)
            move_position(session, EXPORT, {"day": now.date().isoformat()})


def tonight(session: Session, *, now: dt.datetime, stale_after: dt.timedelta, include_adult: bool) -> Wanted:
    """What a night is to bring: at first the lists, later what has changed, and the lists from time to time."""
    changes = find_position(session, CHANGES)
    return Wanted(
        lists=not _are_read(session, since=now - LISTS_EVERY),
        since=dt.date.fromisoformat(changes["day"]) if changes else None,
        stale_after=stale_after,
        include_adult=include_adult,
    )


def _are_read(session: Session, *, since: dt.datetime) -> bool:
    """Whether the lists have been read to their end, or everything was asked for, after that moment."""
    lists, export = find_position(session, LISTS), find_position(session, EXPORT)
    if export is not None and dt.date.fromisoformat(export["day"]) > since.date():
        return True
    return lists is not None and lists["place"] is None and _moment(lists) > since


def _standing(session: Session, kept_as: str, first: Place, now: dt.datetime) -> Place:
    """Where an earlier run was cut off, unless that is long ago or was on its way through other lists."""
    lists = find_position(session, kept_as)
    if lists is None or lists["place"] is None or now - _moment(lists) > FRESH_FOR:
        return first
    place = Place.from_position(lists["place"])
    of_the_same = place.pages == first.pages and set(place.lists) <= set(first.lists)
    return place if of_the_same else first


def _moment(lists: Mapping[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(lists["read_at"])

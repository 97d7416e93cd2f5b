"""The SQL over movies: upsert, detail, browse, what waits for an embedding."""

import datetime as dt
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import psycopg2
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, RowMapping, and_, func, not_, or_, select, text, true, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from backend.catalog.copy_text import COLUMNS, copy_text
from backend.catalog.filters import Filters, MovieRef
from backend.catalog.records import MovieRecord
from backend.database import able_to_copy
from backend.errors import MovieNotFoundError
from backend.models import Movie

SUMMARY_COLUMNS = (
    Movie.id,
    Movie.title,
    Movie.original_title,
    Movie.original_language,
    Movie.overview,
    Movie.genres,
    Movie.release_date,
    Movie.release_year,
    Movie.poster_path,
    Movie.vote_average,
    Movie.vote_count,
    Movie.popularity,
    Movie.runtime,
)
"""What a row of any list shows."""

DETAIL_COLUMNS = (
    *SUMMARY_COLUMNS,
    Movie.imdb_id,
    Movie.tagline,
    Movie.keywords,
    Movie.directors,
    Movie.actors,
    Movie.collection,
    Movie.budget,
    Movie.revenue,
    Movie.status,
    Movie.backdrop_path,
    Movie.original_overview,
)


@dataclass(frozen=True)
class Upserted:
    """What a batch did."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """All films of the batch."""
        return self.new + self.changed + self.unchanged

    def __add__(self, other: "Upserted") -> "Upserted":
        return Upserted(self.new + other.new, self.changed + other.changed, self.unchanged + other.unchanged)


def upsert(
    session: Session, records: Sequence[MovieRecord], *, source: str, fetched_at: dt.datetime | None = None
) -> Upserted:
    """Write a batch; only rows that differ are touched, the unknown never hides the known.

    Of several records of one film the last counts. With `fetched_at`, the films' details were fetched from TMDB
    then: every row takes that, and a row that differs in nothing else counts as unchanged and keeps its
    `updated_at`. A film that was hidden is shown again, unless only its figures came from TMDB.
    """
    if not records:
        return Upserted()
    by_id = {record.id: record for record in records}
    session.execute(_STAGE)
    _copy(session, by_id.values())
    written = session.execute(_UPSERT, {"source": source, "fetched_at": fetched_at}).scalars().all()
    session.execute(_UNSTAGE)
    if fetched_at is not None and len(written) < len(by_id):
        session.execute(_MARK_FETCHED, {"ids": sorted(by_id), "fetched_at": fetched_at})
    new = sum(written)
    return Upserted(new, len(written) - new, len(by_id) - len(written))


def find_fetched(session: Session, ids: Sequence[int], *, since: dt.datetime) -> dict[int, int]:
    """Those of the films whose details were fetched after that moment, with their number of votes.

    Not those that are hidden: whoever hears of one again asks for it again.
    """
    fresh = (Movie.fetched_at > since, not_(Movie.hidden))
    statement = select(Movie.id, Movie.vote_count).where(Movie.id.in_(ids), *fresh)
    return {row.id: row.vote_count for row in session.execute(statement)}


def is_empty(session: Session) -> bool:
    """Whether there is no film at all."""
    return not session.scalar(select(select(Movie.id).limit(1).exists()))


def movie_is(ref: MovieRef) -> ColumnElement[bool]:
    """The condition that picks one film."""
    return Movie.id == ref if isinstance(ref, int) else Movie.imdb_id == ref


def movie_is_not(ref: MovieRef) -> ColumnElement[bool]:
    """The condition that a film is another; one without an IMDb id is another than any."""
    return Movie.id != ref if isinstance(ref, int) else Movie.imdb_id.is_distinct_from(ref)


def visible(*, include_adult: bool) -> ColumnElement[bool]:
    """The condition that a film may stand in an answer."""
    return not_(Movie.hidden) if include_adult else and_(not_(Movie.adult), not_(Movie.hidden))


def filter_conditions(filters: Filters) -> ColumnElement[bool]:
    """What the filters ask of a film; an unknown year or runtime satisfies no bound."""
    bounds = [
        (filters.year_min, Movie.release_year.__ge__),
        (filters.year_max, Movie.release_year.__le__),
        (filters.runtime_min, Movie.runtime.__ge__),
        (filters.runtime_max, Movie.runtime.__le__),
        (filters.vote_average_min, Movie.vote_average.__ge__),
        (filters.vote_count_min, Movie.vote_count.__ge__),
        (filters.vote_count_max, Movie.vote_count.__le__),
        (filters.original_language, Movie.original_language.__eq__),
    ]
    conditions = [holds(bound) for bound, holds in bounds if bound is not None]
    if filters.genre:
        conditions.append(Movie.genres.bool_op("&&")(list(filters.genre)))
    if filters.exclude_genre:
        conditions.append(not_(Movie.genres.bool_op("&&")(list(filters.exclude_genre))))
    conditions += [movie_is_not(ref) for ref in filters.exclude]
    return and_(true(), *conditions)


def find_refs(session: Session, refs: Sequence[MovieRef]) -> dict[MovieRef, int]:
    """The TMDB id of each film that is known, by the name it was asked for.

    Of two films with one IMDb id, as after TMDB merged them, it is the one that is shown.
    """
    ids = [ref for ref in refs if isinstance(ref, int)]
    imdb_ids = [ref for ref in refs if isinstance(ref, str)]
    rows = session.execute(
        select(Movie.id, Movie.imdb_id)
        .where(or_(Movie.id.in_(ids), Movie.imdb_id.in_(imdb_ids)))
        .order_by(Movie.hidden.desc(), Movie.id)
    ).all()
    by_ref: dict[MovieRef, int] = {row.id: row.id for row in rows}
    by_ref |= {row.imdb_id: row.id for row in rows if row.imdb_id}
    return {ref: by_ref[ref] for ref in refs if ref in by_ref}


def get_detail(session: Session, ref: MovieRef, *, include_adult: bool) -> RowMapping:
    """All that is known of one film. Raises MovieNotFoundError."""
    statement = select(*DETAIL_COLUMNS).where(movie_is(ref), visible(include_adult=include_adult)).limit(1)
    row = session.execute(statement).mappings().first()
    if row is None:
        raise MovieNotFoundError(f"There is no film {ref} in the catalogue.", field="movie_id")
    return row


def browse(
    session: Session, filters: Filters, *, limit: int, offset: int, include_adult: bool
) -> tuple[Sequence[RowMapping], int]:
    """Films, the popular and good first, and how many there are in all."""
    matching = and_(filter_conditions(filters), visible(include_adult=include_adult))
    films = select(*SUMMARY_COLUMNS, Movie.quality).where(matching).order_by(Movie.quality.desc(), Movie.id)
    page = films.limit(limit).offset(offset).subquery()
    total = select(func.count().label("total")).select_from(Movie).where(matching).subquery()
    # Joined, not counted over the page: a page past the end still tells the total.
    shown = select(total, *(page.c[column.key] for column in SUMMARY_COLUMNS))
    statement = shown.join_from(total, page, true(), isouter=True).order_by(page.c.quality.desc(), page.c.id)
    rows = session.execute(statement).mappings().all()
    return [row for row in rows if row["id"] is not None], rows[0]["total"]


def genre_counts(session: Session, *, include_adult: bool) -> list[tuple[str, int]]:
    """Each genre with its number of films."""
    name = func.unnest(Movie.genres).label("name")
    films = select(name).where(visible(include_adult=include_adult)).subquery()
    statement = select(films.c.name, func.count().label("movies")).group_by(films.c.name).order_by(films.c.name)
    return [(row.name, row.movies) for row in session.execute(statement)]


@dataclass(frozen=True)
class Coverage:
    """How much of the catalogue has a vector, and how much waits for one."""

    total_movies: int
    with_embeddings: int
    pending: int

    @property
    def percentage(self) -> float:
        """Films with an embedding in a hundred; 100 for an empty catalogue."""
        return 100.0 * self.with_embeddings / self.total_movies if self.total_movies else 100.0


def coverage(session: Session, *, model: str) -> Coverage:
    """Counts of the whole catalogue."""
    statement = select(
        func.count(),
        func.count().filter(not_(_pending(model))),
        func.count().filter(_pending(model)),
    ).select_from(Movie)
    return Coverage(*session.execute(statement).one())


@dataclass(frozen=True)
class PendingText:
    """A film that waits for its embedding, and its place in the order of embedding."""

    id: int
    vote_count: int
    text: str


def find_changed_texts(session: Session, *, limit: int) -> dict[int, bool]:
    """Films whose text is not what their embedding was made from, and of each whether it never had one.

    Told by an index that has no others: asked at every change, it is too often to read the whole catalogue.
    """
    is_new = Movie.embedding_hash.is_(None).label("is_new")
    statement = select(Movie.id, is_new).where(Movie.embedding_hash.is_distinct_from(Movie.text_hash))
    # In an order that no other index has.
    return {row.id: row.is_new for row in session.execute(statement.order_by(Movie.text_hash).limit(limit))}


def claim_pending(
    session: Session,
    *,
    model: str,
    limit: int,
    after: PendingText | None = None,
    among: Sequence[int] | None = None,
) -> list[PendingText]:
    """Lock the next films that wait, best-known first; those that another process holds are passed over.

    The lock ends with the transaction: a process that dies leaves its films pending.
    """
    statement = select(Movie.id, Movie.vote_count, func.embedding_text(text("movies")).label("text"))
    statement = statement.where(_pending(model)).order_by(Movie.vote_count.desc(), Movie.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(Movie.vote_count, Movie.id) < (after.vote_count, after.id))
    if among is not None:
        statement = statement.where(Movie.id.in_(among))
    rows = session.execute(statement.with_for_update(skip_locked=True, key_share=True))
    return [PendingText(row.id, row.vote_count, row.text) for row in rows]


def save_embeddings(session: Session, ids: Sequence[int], vectors: NDArray[np.float32], *, model: str) -> None:
    """Store the vectors of claimed films, shape (len(ids), 384), in one statement."""
    texts = ["[" + ",".join(map(str, row)) + "]" for row in vectors.tolist()]
    session.execute(_SAVE_EMBEDDINGS, {"ids": list(ids), "vectors": texts, "model": model})


def _pending(model: str) -> ColumnElement[bool]:
    return or_(
        Movie.embedding_hash.is_distinct_from(Movie.text_hash), Movie.embedding_model.is_distinct_from(model)
    )


def _copy(session: Session, records: Iterable[MovieRecord]) -> None:
    """Put films onto the stage."""
    driver = session.connection().connection.driver_connection
    assert driver is not None
    try:
        with able_to_copy(), driver.cursor() as cursor:
            cursor.copy_expert(f"COPY arriving ({', '.join(COLUMNS)}) FROM STDIN", io.StringIO(copy_text(records)))
    except psycopg2.Error as error:
        # As SQLAlchemy does with what the driver raises, past which COPY has to go.
        if driver.closed:
            session.invalidate()
        raise DBAPIError.instance("COPY arriving", None, error, psycopg2.Error, hide_parameters=True) from error


def _upsert_sql() -> str:
    columns = ", ".join(COLUMNS)
    kept = {
        name: f"coalesce(nullif(excluded.{name}, '{{}}'), m.{name})"
        for name in ("genres", "keywords", "directors", "actors")
    } | {
        "adult": "m.adult OR excluded.adult",
        # As the trigger will have it: the year of a known date counts before a year alone.
        "release_year": "coalesce(extract(year FROM coalesce(excluded.release_date, m.release_date)), "
        "excluded.release_year, m.release_year)",
        "popularity": "coalesce(nullif(excluded.popularity, 0), m.popularity)",
        "vote_average": "CASE WHEN excluded.vote_count > 0 AND excluded.vote_average > 0 "
        "THEN excluded.vote_average ELSE m.vote_average END",
        "vote_count": "coalesce(nullif(excluded.vote_count, 0), m.vote_count)",
    }
    values = {name: kept.get(name, f"coalesce(excluded.{name}, m.{name})") for name in COLUMNS}
    # Hidden is only what came from TMDB; figures alone do not say that its details may be shown.
    hidden = "m.hidden AND excluded.source = 'tmdb' AND excluded.fetched_at IS NULL"
    before = f"m.{', m.'.join(values)}, m.source, m.hidden"
    differs = f"({before}) IS DISTINCT FROM ({', '.join(values.values())}, excluded.source, {hidden})"
    # What does not differ is left out before the conflict, which would lock its row and run its triggers. Looked
    # up film by film: as a join, without statistics of the stage, it might come to read the whole catalogue.
    # In the order of ids, so that loads which meet wait for one another, and never both.
    return f"""
        INSERT INTO movies AS m ({columns}, source, fetched_at)
        SELECT {columns}, source, fetched_at
        FROM (SELECT *, CAST(:source AS text) AS source, CAST(:fetched_at AS timestamptz) AS fetched_at
              FROM arriving) AS excluded
        WHERE (SELECT {differs} FROM movies AS m WHERE m.id = excluded.id) IS NOT FALSE
        ORDER BY id
        ON CONFLICT (id) DO UPDATE
        SET {", ".join(f"{name} = {value}" for name, value in values.items() if name != "id")},
            source = excluded.source, fetched_at = coalesce(excluded.fetched_at, m.fetched_at), hidden = {hidden},
            updated_at = now()
        WHERE {differs}
        RETURNING (xmax = 0)::integer
    """  # noqa: S608 - built of column names only


_STAGE = text(
    f"CREATE TEMP TABLE arriving AS SELECT {', '.join(COLUMNS)} FROM movies WITH NO DATA"  # noqa: S608
)
_UPSERT = text(_upsert_sql())
# At once, and not with the transaction, in which there may be another batch.
_UNSTAGE = text("DROP TABLE arriving")

# Hidden once more: it may have been hidden since it was compared.
_MARK_FETCHED = text("""
    UPDATE movies SET fetched_at = :fetched_at, hidden = false
    WHERE id = ANY(CAST(:ids AS integer[])) AND (fetched_at IS DISTINCT FROM :fetched_at OR hidden)
""")

_SAVE_EMBEDDINGS = text("""
    UPDATE movies
    SET embedding = made.vector::vector, embedding_hash = movies.text_hash, embedding_model = :model
    FROM unnest(CAST(:ids AS integer[]), CAST(:vectors AS text[])) AS made (id, vector)
    WHERE movies.id = made.id
""")

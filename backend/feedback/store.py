"""The SQL over people and interactions: record, history, remove, erase, export, count."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    CursorResult,
    DateTime,
    Integer,
    SmallInteger,
    Table,
    Text,
    and_,
    bindparam,
    case,
    column,
    false,
    func,
    not_,
    null,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL, Insert, insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend.feedback.records import Counts, Export, Film, HistoryItem, NewInteraction, Recorded
from backend.feedback.weights import Kind
from backend.models import Interaction, Movie, PendingInteraction, User

# Films are found by the same rules as in the trigger that settles pending interactions. Each rule has arrays of
# its own, whose lengths tell the planner when to scan the films once; titles are always looked up one by one. New
# people come along: what follows is a statement of its own, because only a new one sees the people whom others
# made meanwhile.
MEET = text("""
WITH met AS (
    INSERT INTO users (external_id)
    SELECT DISTINCT person
    FROM unnest(CAST(:people AS text[])) AS person
    WHERE NOT EXISTS (SELECT FROM users u WHERE u.external_id = person)
    ORDER BY person
    ON CONFLICT (external_id) DO NOTHING
)
SELECT DISTINCT ON (rule, number) rule, number, id
FROM (
    SELECT 0 AS rule, g.number, m.id, m.vote_count
    FROM unnest(CAST(:tmdb_ids AS bigint[])) WITH ORDINALITY AS g (tmdb_id, number)
    JOIN movies m ON m.id = g.tmdb_id
    UNION ALL
    SELECT 1, g.number, m.id, m.vote_count
    FROM unnest(CAST(:imdb_ids AS text[])) WITH ORDINALITY AS g (imdb_id, number)
    JOIN movies m ON m.imdb_id = g.imdb_id
    UNION ALL
    SELECT 2, number, id, vote_count
    FROM (
        SELECT number, id, vote_count, release_year = year AS is_year,
            min(id) OVER (PARTITION BY number) = max(id) OVER (PARTITION BY number) AS is_alone
        FROM (
            SELECT number, title_key(title) AS key, year
            FROM unnest(CAST(:titles AS text[]), CAST(:years AS smallint[])) WITH ORDINALITY
                AS t (title, year, number)
        ) g
        CROSS JOIN LATERAL (
            SELECT id, vote_count, release_year FROM movies
            WHERE title_key(title) = key AND release_year BETWEEN year - 1 AND year + 1
            UNION ALL
            SELECT id, vote_count, release_year FROM movies
            WHERE title_key(original_title) = key AND original_title <> title
                AND release_year BETWEEN year - 1 AND year + 1
        ) m
    ) titled
    WHERE is_year OR is_alone
) candidates
ORDER BY rule, number, vote_count DESC, id
""")

# While this is held no film arrives: see SETTLE_PENDING in the migration.
HOLD_FILMS_BACK = text("SELECT pg_advisory_xact_lock_shared(hashtext('pending_interactions'))")

DETAILS = {"value": REAL(), "at": DateTime(timezone=True), "recommendation_id": Text(), "position": Integer()}


def _upsert_statement(model: type[Interaction] | type[PendingInteraction], **film: Any) -> Insert:
    """Write rows; one that is there already gives way to one that is not older and differs.

    People are locked against an erase that runs at the same time, and rows go in one order, so that writers
    who meet wait for each other and never in a circle.
    """
    table = cast(Table, model.__table__)
    columns = {"person": Text(), **film, "kind": Text(), **DETAILS}
    rows = func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    given = select(
        rows.table_valued(*(column(name, kind) for name, kind in columns.items())).render_derived(
            name="r", with_types=True
        )
    ).cte("given")
    people = _people_of(given)
    key = [people.c.id, *(given.c[name] for name in (*film, "kind"))]
    statement = insert(table).from_select(
        ["user_id", *film, "kind", *DETAILS],
        select(*key, *(given.c[name] for name in DETAILS))
        .join_from(given, people, people.c.external_id == given.c.person)
        .order_by(*key),
    )
    new = {name: statement.excluded[name] for name in DETAILS}
    return statement.on_conflict_do_update(
        index_elements=["user_id", *film, "kind"],
        set_=new,
        where=and_(
            table.c.at <= new["at"],
            tuple_(*(table.c[name] for name in DETAILS)).is_distinct_from(tuple_(*new.values())),
        ),
    )


def _people_of(given: CTE) -> CTE:
    return (
        select(User.id, User.external_id)
        .where(User.external_id.in_(select(given.c.person)))
        .order_by(User.id)
        .with_for_update(read=True, key_share=True)
        .cte("people")
    )


STORE = _upsert_statement(Interaction, movie_id=Integer())
STORE_PENDING = _upsert_statement(
    PendingInteraction, tmdb_id=BigInteger(), imdb_id=Text(), title=Text(), year=SmallInteger()
)


def record(session: Session, interactions: Sequence[NewInteraction]) -> Recorded:
    """Keep what people did; of a film that is not in the catalogue, until it arrives.

    Call it once in a transaction: two calls would not take their locks in one order.
    """
    found = _meet(session, interactions)
    missing = [item for item in interactions if item.film not in found]
    if missing:
        session.execute(HOLD_FILMS_BACK)
        found |= _meet(session, missing)
    newest = _newest(interactions, found)
    known = [item for item in newest.values() if item.film in found]
    pending = {index: item for index, item in newest.items() if item.film not in found}
    return Recorded(
        stored=len(known),
        changed=_write(session, STORE, [{"movie_id": found[item.film], **_row(item)} for item in known]),
        merged=len(interactions) - len(newest),
        pending=tuple(pending),
        pending_new=_write(
            session, STORE_PENDING, [item.film._asdict() | _row(item) for item in pending.values()]
        ),
    )


def _meet(session: Session, interactions: Sequence[NewInteraction]) -> dict[Film, int]:
    """Make the people that are new; the ids of the films that are in the catalogue."""
    if not interactions:
        return {}
    rules: tuple[list[Film], ...] = ([], [], [])
    for film in {item.film for item in interactions}:
        rules[film.rule].append(film)
    by_tmdb_id, by_imdb_id, by_title = rules
    parameters = {
        "people": list({item.user_id for item in interactions}),
        "tmdb_ids": [film.tmdb_id for film in by_tmdb_id],
        "imdb_ids": [film.imdb_id for film in by_imdb_id],
        "titles": [film.title for film in by_title],
        "years": [film.year for film in by_title],
    }
    return {rules[rule][number - 1]: id_ for rule, number, id_ in session.execute(MEET, parameters)}


def _newest(interactions: Sequence[NewInteraction], found: dict[Film, int]) -> dict[int, NewInteraction]:
    """By index, the newest per person, film and kind; of two of the same instant the later in line."""
    newest: dict[tuple[str, int | Film, str], int] = {}
    for index, item in enumerate(interactions):
        key = (item.user_id, found.get(item.film, item.film), item.kind)
        if key not in newest or interactions[newest[key]].at <= item.at:
            newest[key] = index
    return {index: interactions[index] for index in sorted(newest.values())}


def _row(item: NewInteraction) -> dict[str, Any]:
    return {
        "person": item.user_id,
        "kind": item.kind,
        "value": item.value,
        "at": item.at.isoformat(),
        "recommendation_id": item.recommendation_id,
        "position": item.position,
    }


def _write(session: Session, statement: Insert, rows: list[dict[str, Any]]) -> int:
    if not rows:
        return 0
    return cast(CursorResult[Any], session.execute(statement, {"rows": rows})).rowcount


def history(session: Session, user_id: str, *, limit: int, offset: int) -> tuple[list[HistoryItem], int]:
    """A page of what a person did, newest first, and how much there is in all."""
    everything = everything_statement(user_id).cte("everything")
    page = (
        select(everything)
        .order_by(everything.c.at.desc(), everything.c.movie_id, everything.c.imdb_id, everything.c.title)
        .order_by(everything.c.kind)
        .limit(limit)
        .offset(offset)
        .subquery()
    )
    total = select(func.count().label("total")).select_from(everything).subquery()
    # Joined, not counted over the page: a page past the end still tells the total.
    rows = session.execute(select(total, page).join_from(total, page, true(), isouter=True)).all()
    return [HistoryItem(*row[1:]) for row in rows if row.kind is not None], rows[0].total


def everything_statement(user_id: str) -> CompoundSelect[Any]:
    """What a person did, in the columns of HistoryItem."""
    settled = (
        select(
            Interaction.movie_id,
            Movie.imdb_id,
            _shown(Movie.title),
            Movie.release_year,
            _shown(Movie.poster_path),
            *_details(Interaction),
            false().label("pending"),
        )
        .join_from(Interaction, Movie, Movie.id == Interaction.movie_id)
        .join(User, User.id == Interaction.user_id)
    )
    waiting = select(
        PendingInteraction.tmdb_id,
        PendingInteraction.imdb_id,
        PendingInteraction.title,
        PendingInteraction.year,
        null(),
        *_details(PendingInteraction),
        true(),
    ).join_from(PendingInteraction, User, User.id == PendingInteraction.user_id)
    return union_all(*(part.where(User.external_id == user_id) for part in (settled, waiting)))


def _shown(column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """What may not be shown of a film is not named to those who did something with it either."""
    return case((not_(Movie.hidden), column)).label(column.key)


def _details(model: type[Interaction] | type[PendingInteraction]) -> list[ColumnElement[Any]]:
    return [model.__table__.c[name] for name in ("kind", *DETAILS)]


def export(session: Session, user_id: str) -> Export | None:
    """Everything that is held about a person, oldest first; None where nothing is."""
    everything = everything_statement(user_id).subquery()
    rows = session.execute(
        select(User.name.label("called"), User.created_at, everything)
        .join_from(User, everything, true(), isouter=True)
        .where(User.external_id == user_id)
        .order_by(everything.c.at, everything.c.movie_id, everything.c.kind)
    ).all()
    if not rows:
        return None
    items = [HistoryItem(*row[2:]) for row in rows if row.kind is not None]
    return Export(user_id, rows[0].called, rows[0].created_at, items)


REMOVE = text("""
WITH person AS (
    SELECT id FROM users WHERE external_id = :user_id
), settled AS (
    DELETE FROM interactions
    WHERE user_id = (SELECT id FROM person) AND movie_id = CAST(:movie_id AS integer)
        AND kind = coalesce(CAST(:kind AS text), kind)
    RETURNING 1
), waiting AS (
    DELETE FROM pending_interactions
    WHERE user_id = (SELECT id FROM person)
        AND (tmdb_id = CAST(:movie_id AS bigint) OR imdb_id = CAST(:imdb_id AS text))
        AND kind = coalesce(CAST(:kind AS text), kind)
    RETURNING 1
)
SELECT (SELECT count(*) FROM settled) + (SELECT count(*) FROM waiting)
""")


def remove(
    session: Session,
    user_id: str,
    movie_id: int | None,
    *,
    imdb_id: str | None = None,
    kind: Kind | None = None,
) -> int:
    """Undo what a person did with a film, or only one kind of it; the number of rows that went.

    The IMDb id is for what waits under it: a film that the catalogue does not have.
    """
    # A film that arrives this instant would otherwise turn a pending row into one that is not seen here.
    session.execute(HOLD_FILMS_BACK)
    removed = session.execute(REMOVE, {"user_id": user_id, "movie_id": movie_id, "imdb_id": imdb_id, "kind": kind})
    return int(removed.scalar_one())


# The rows themselves go by the foreign keys' ON DELETE CASCADE, after they have been counted.
ERASE = text("""
WITH gone AS (DELETE FROM users WHERE external_id = :user_id RETURNING id)
SELECT (SELECT count(*) FROM gone)
    + (SELECT count(*) FROM interactions WHERE user_id = (SELECT id FROM gone))
    + (SELECT count(*) FROM pending_interactions WHERE user_id = (SELECT id FROM gone))
""")


def erase(session: Session, user_id: str) -> int:
    """Forget a person; the number of rows that went, 0 for someone unknown."""
    # A film that arrives this instant locks the same rows in the other order.
    session.execute(HOLD_FILMS_BACK)
    return int(session.execute(ERASE, {"user_id": user_id}).scalar_one())


def counts(session: Session) -> Counts:
    """How much feedback there is, counted in one statement."""
    numbers = (
        select(func.count()).select_from(model).scalar_subquery()
        for model in (Interaction, User, PendingInteraction)
    )
    return Counts(*session.execute(select(*numbers)).one())

"""The tables, as SQLAlchemy 2 classes. `migrations/` is what creates them."""

import datetime as dt
import uuid
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

EMBEDDING_DIMENSION = 384

TITLE_KEY = "title_key(title)"
"""What titles are compared by: migration 0011 has the function."""

QUALITY_SQL = "ln(1 + vote_count) * (vote_average * vote_count + 6.5 * 500) / (vote_count + 500)"
"""A Bayesian mean rating (prior: 500 votes of 6.5) times the logarithm of the votes: popular and good."""

TITLE_SEARCH_SQL = "to_tsvector('simple', (title || ' ') || coalesce(original_title, ''))"
"""What a search by title looks into."""


class Base(DeclarativeBase):
    """What every table shares."""


class Movie(Base):
    """A film, under its TMDB id."""

    __tablename__ = "movies"
    __table_args__ = (
        Index("movies_imdb_id_idx", "imdb_id"),
        Index("movies_genres_idx", "genres", postgresql_using="gin"),
        Index("movies_title_idx", text(TITLE_SEARCH_SQL), postgresql_using="gin"),
        Index("movies_release_year_idx", "release_year"),
        Index("movies_vote_count_idx", "vote_count", "id"),
        Index("movies_collection_idx", "collection", postgresql_where=text("collection IS NOT NULL")),
        Index("movies_quality_idx", text("quality DESC"), "id"),
        Index(
            "movies_shown_idx",
            "id",
            postgresql_include=["embedding_model"],
            postgresql_where=text("NOT adult AND NOT hidden"),
        ),
        Index(
            "movies_changed_text_idx",
            "text_hash",
            postgresql_where=text("embedding_hash IS DISTINCT FROM text_hash"),
        ),
        Index("movies_title_key_idx", text(TITLE_KEY), "release_year"),
        Index(
            "movies_original_title_key_idx",
            text("title_key(original_title)"),
            "release_year",
            postgresql_where=text("original_title <> title"),
        ),
        Index("movies_fetched_at_idx", "fetched_at", postgresql_where=text("source = 'tmdb'")),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    imdb_id: Mapped[str | None] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    original_title: Mapped[str | None] = mapped_column(Text)
    original_language: Mapped[str | None] = mapped_column(Text)
    overview: Mapped[str | None] = mapped_column(Text)
    tagline: Mapped[str | None] = mapped_column(Text)
    genres: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    keywords: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    directors: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    actors: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    collection: Mapped[str | None] = mapped_column(Text)
    release_date: Mapped[dt.date | None]
    release_year: Mapped[int | None] = mapped_column(SmallInteger)
    runtime: Mapped[int | None]
    budget: Mapped[int | None] = mapped_column(BigInteger)
    revenue: Mapped[int | None] = mapped_column(BigInteger)
    popularity: Mapped[float] = mapped_column(Double, server_default="0")
    vote_average: Mapped[float] = mapped_column(Double, server_default="0")
    vote_count: Mapped[int] = mapped_column(Integer, server_default="0")
    status: Mapped[str | None] = mapped_column(Text)
    adult: Mapped[bool] = mapped_column(server_default=text("false"))
    poster_path: Mapped[str | None] = mapped_column(Text)
    backdrop_path: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text, server_default="file")
    fetched_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    quality: Mapped[float] = mapped_column(REAL, Computed(QUALITY_SQL, persisted=True), nullable=True)
    text_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    embedding: Mapped[list[float] | None] = mapped_column(Vector(EMBEDDING_DIMENSION), deferred=True)
    embedding_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    embedding_model: Mapped[str | None] = mapped_column(Text)
    original_overview: Mapped[str | None] = mapped_column(Text)
    hidden: Mapped[bool] = mapped_column(server_default=text("false"))

    def __repr__(self) -> str:
        return f"<Movie {self.id} {self.title!r} ({self.release_year})>"


class User(Base):
    """A person: what the API calls `user_id` is `external_id` here."""

    __tablename__ = "users"
    __table_args__ = (Index("users_named_idx", "id", postgresql_where=text("name IS NOT NULL")),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    external_id: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    name: Mapped[str | None] = mapped_column(Text)


class Interaction(Base):
    """What a person did with a film: one row per person, film and kind."""

    __tablename__ = "interactions"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('rating', 'like', 'dislike', 'watched', 'watchlist', 'not_interested', 'click')",
            name="interactions_kind_check",
        ),
        CheckConstraint(
            "(kind = 'rating') = (value IS NOT NULL) AND value BETWEEN 0.5 AND 5",
            name="interactions_value_check",
        ),
        Index("interactions_movie_id_idx", "movie_id"),
    )

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    movie_id: Mapped[int] = mapped_column(ForeignKey("movies.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[float | None] = mapped_column(REAL)
    at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    recommendation_id: Mapped[str | None] = mapped_column(Text)
    position: Mapped[int | None]


class PendingInteraction(Base):
    """An interaction with a film that is not in the catalogue yet; a trigger on `movies` settles it."""

    __tablename__ = "pending_interactions"
    __table_args__ = (
        UniqueConstraint(
            "user_id",
            "tmdb_id",
            "imdb_id",
            "title",
            "year",
            "kind",
            name="pending_interactions_key",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("num_nonnulls(tmdb_id, imdb_id, title) >= 1", name="pending_interactions_movie_check"),
        Index("pending_interactions_tmdb_id_idx", "tmdb_id"),
        Index("pending_interactions_imdb_id_idx", "imdb_id"),
        Index("pending_interactions_title_key_idx", text(TITLE_KEY), "year"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    tmdb_id: Mapped[int | None] = mapped_column(BigInteger)
    imdb_id: Mapped[str | None] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    year: Mapped[int | None] = mapped_column(SmallInteger)
    kind: Mapped[str] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(REAL)
    at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    recommendation_id: Mapped[str | None] = mapped_column(Text)
    position: Mapped[int | None]


class IndexMeasurement(Base):
    """What was found with the vector index, after a build, a tuning, or as it was; the newest row is in force."""

    __tablename__ = "index_measurements"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    movies: Mapped[int]
    lists: Mapped[int | None]
    probes: Mapped[int | None]
    ef_search: Mapped[int | None]
    recall_at_10: Mapped[float] = mapped_column(Double)
    measured_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    event: Mapped[str] = mapped_column(Text, server_default="build")
    target: Mapped[float | None] = mapped_column(Double)
    recalls: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)


class PeopleChange(Base):
    """That something about a person changed, and in which transaction; kept by triggers, for the file cache.

    Without a foreign key: the last change of a person is that they are gone.
    """

    __tablename__ = "people_changes"
    __table_args__ = (Index("people_changes_changed_in_idx", "changed_in"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    changed_in: Mapped[int] = mapped_column(
        BigInteger, server_default=text("(pg_current_xact_id()::text)::bigint")
    )
    at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))


class Installation(Base):
    """One row: which database this is, so that files made from another are told apart."""

    __tablename__ = "installation"

    id: Mapped[uuid.UUID] = mapped_column(UUID, primary_key=True, server_default=text("gen_random_uuid()"))


class ActiveModel(Base):
    """One row: the version of the item factors that answer, and the one to go back to.

    The factors themselves are in `item_factors_<version>`; the view `item_factors` shows those in force.
    """

    __tablename__ = "active_model"
    __table_args__ = (CheckConstraint("id = 1", name="active_model_id_check"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1")
    version: Mapped[str] = mapped_column(Text)
    previous: Mapped[str | None] = mapped_column(Text)
    activated_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))


class QualityMeasurement(Base):
    """How good a version of the item factors was found to be when it was learned, beside popular films."""

    __tablename__ = "quality_measurements"

    version: Mapped[str] = mapped_column(Text, primary_key=True)
    measured_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    people: Mapped[int]
    figures: Mapped[dict[str, float]] = mapped_column(JSONB)
    popularity: Mapped[dict[str, float]] = mapped_column(JSONB)


class FilmMap(Base):
    """One row: where the best-known films lie on a map, each at its place in three arrays of one length."""

    __tablename__ = "film_map"
    __table_args__ = (CheckConstraint("id = 1", name="film_map_id_check"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default="1")
    version: Mapped[str] = mapped_column(Text)
    made_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    movie_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    x: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    y: Mapped[list[float]] = mapped_column(ARRAY(REAL))


class JobRun(Base):
    """A run of a job: asked for, going on, or ended; at most one for each hour that a job was due."""

    __tablename__ = "job_runs"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('queued', 'running', 'succeeded', 'skipped', 'failed', 'interrupted')",
            name="job_runs_outcome_check",
        ),
        UniqueConstraint("job", "due_at", name="job_runs_due_key"),
        Index("job_runs_queued_key", "job", unique=True, postgresql_where=text("outcome = 'queued'")),
        Index("job_runs_job_idx", "job", text("id DESC")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    due_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    requested_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    started_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    error: Mapped[str | None] = mapped_column(Text)


class FetchQueue(Base):
    """A film whose details are still to be fetched from TMDB, and why."""

    __tablename__ = "fetch_queue"
    __table_args__ = (
        CheckConstraint(
            "reason IN ('pending', 'list', 'export', 'change', 'stale', 'gone')", name="fetch_queue_reason_check"
        ),
        Index("fetch_queue_next_idx", text("priority DESC"), "id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(Text)
    priority: Mapped[float] = mapped_column(REAL)
    queued_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))


class FetchPosition(Base):
    """How far a source has been read."""

    __tablename__ = "fetch_positions"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[dict[str, Any]] = mapped_column(JSONB)
    moved_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))


class Reject(Base):
    """A record that could not be used, and why."""

    __tablename__ = "rejects"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    record: Mapped[str | None] = mapped_column(Text)
    rejected_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))

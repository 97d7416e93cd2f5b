"""What goes out: the shapes of the answers, as the documentation shows them."""

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel, Field

from backend.catalog.filters import MovieRef
from backend.feedback.weights import Kind
from backend.ml.answer import Source, Status


class Genre(BaseModel):
    """A genre under its TMDB id."""

    id: int | None
    name: str


class GenreCount(Genre):
    """A genre and how many films have it."""

    movies: int


class Reason(BaseModel):
    """Why a film stands in the list; `share` is its part of the score."""

    kind: Literal["collection", "director", "actor", "keyword", "genre", "liked", "others", "popular", "words"] = (
        Field(
            description="liked: a film of the person; others: the rest of what they did; popular: what everyone "
            "starts with; the facts are those shared with a film."
        )
    )
    names: list[str] | None = None
    id: int | None = None
    title: str | None = None
    share: float | None = None


class ScoreParts(BaseModel):
    """What a score adds up from."""

    taste: float = Field(description="Learned from what people like together.")
    company: float = Field(description="What is liked along with the person's films; loud while these are few.")
    content: float = Field(description="What the film is like.")
    prior: float = Field(description="How well known and well rated it is.")


class MovieRow(BaseModel):
    """A film in a list, in TMDB's shape."""

    id: int
    title: str
    original_title: str | None
    original_language: str | None
    overview: str | None
    genre_ids: list[int]
    genres: list[Genre]
    release_date: dt.date | None
    release_year: int | None
    poster_path: str | None
    vote_average: float
    vote_count: int
    popularity: float
    runtime: int | None


class ScoredRow(MovieRow):
    """The same with its score, which means something only within its list."""

    score: float
    score_parts: ScoreParts | None = None
    why: list[Reason] | None = None


class MovieDetail(MovieRow):
    """All that is known of a film."""

    imdb_id: str | None
    tagline: str | None
    keywords: list[str]
    directors: list[str]
    cast: list[str]
    collection: str | None
    budget: int | None
    revenue: int | None
    status: str | None
    backdrop_path: str | None
    original_overview: str | None = Field(description="The overview in the language of the original title.")


class MappedFilms(BaseModel):
    """Films in columns of one length, the best-known first; x and y lie between 0 and 1."""

    id: list[int]
    x: list[float]
    y: list[float]
    title: list[str]
    year: list[int | None]
    votes: list[int]
    genre: list[str | None] = Field(description="The first one of each.")


class FilmMap(BaseModel):
    """The best-known films on a map: near each other is what is alike."""

    version: str
    made_at: dt.datetime
    films: MappedFilms


class MoviePage(BaseModel):
    """A page of the catalogue."""

    results: list[MovieRow]
    page: int
    total_results: int
    total_pages: int


class WhyAnswer(BaseModel):
    """Why a film is, or is not, among a person's recommendations."""

    id: int
    title: str
    status: Status = Field(
        description="recommended: among the first n by score; outranked: others score more; seen: the person did "
        "something with it; filtered: a filter leaves it out; no_embedding: nothing is known of it yet."
    )
    acts: list[Kind] = Field(description="What the person did that keeps it out.")
    filters: list[str] = Field(description="The filters that keep it out.")
    rank: int | None = Field(description="Its place by score, before diversity, among those that may be shown.")
    score: float | None
    needed: float | None = Field(description="The score of the n-th film.")
    behind: float | None = Field(description="By how much it is outranked.")
    score_parts: ScoreParts | None
    why: list[Reason]
    source: Source
    model_version: str


class RankedList(BaseModel):
    """A ranked list and how it came about."""

    results: list[ScoredRow]
    page: int
    total_results: int | None = Field(description="At most 500; null where filters limit the list.")
    total_pages: int | None
    source: Source = Field(description="The layer that really answered.")
    degraded: bool = Field(description="Whether the layer that should have answered could not.")
    cold_start: bool
    recommendation_id: str
    model_version: str
    generated_at: dt.datetime
    unknown: list[MovieRef] | None = Field(None, description="Of the films given, those not in the catalogue.")


class FilmNamed(BaseModel):
    """A film by its id, and what it is called."""

    id: int
    title: str


class HomeRow(BaseModel):
    """Films with something in common."""

    key: str = Field(description="for_you, because:<movie_id>, new, hidden_gems, different.")
    title: str
    reason: str = Field(description="In one sentence, why these films.")
    seed: FilmNamed | None = Field(description="The film that the row is named for.")
    results: list[ScoredRow] = Field(description="At least four; each film stands in one row only.")


class HomeRows(BaseModel):
    """The rows of a person's home screen, and how they came about."""

    rows: list[HomeRow]
    source: Source = Field(description="The layer that really answered.")
    degraded: bool = Field(description="Whether the layer that should have answered could not.")
    cold_start: bool
    recommendation_id: str
    model_version: str
    generated_at: dt.datetime


class RejectedItem(BaseModel):
    """An item of a batch that can't be used."""

    index: int
    field: str
    code: str
    message: str


class Stored(BaseModel):
    """What became of interactions."""

    stored: int
    pending: list[MovieRef] = Field(description="Films not in the catalogue: kept, and counted on arrival.")
    rejected: list[RejectedItem]


class PendingFilm(BaseModel):
    """A film that is not in the catalogue, by what the file says of it."""

    movie_id: int | None
    imdb_id: str | None
    title: str | None
    release_year: int | None


class LeftAlone(BaseModel):
    """Rows that are in order, but about no film."""

    reason: str = Field(description="What they are about: show, TV Series, …")
    count: int


class RejectedRow(BaseModel):
    """A row that can't be used."""

    file: str
    line: int = Field(description="In a JSON file the number of the row.")
    reason: str


class Imported(BaseModel):
    """What became of a file: what was read is matched, merged, pending, left alone or rejected."""

    format: str = Field(description="Whose file it is: Letterboxd, IMDb or Trakt.")
    read: int = Field(description="Things that it says: a row that is a rating and a viewing says two.")
    matched: int = Field(description="Those whose film is in the catalogue.")
    changed: int = Field(description="Of the matched, those that were new, or newer than what was there.")
    merged: int = Field(description="Those that gave way to a newer one of the same film and kind.")
    pending: int = Field(description="Those whose film is not in the catalogue: kept, and counted on arrival.")
    pending_films: list[PendingFilm] = Field(description="The first twenty of these films.")
    left_alone: list[LeftAlone]
    rejected: int
    rejected_rows: list[RejectedRow] = Field(description="The first twenty.")


class HistoryRow(BaseModel):
    """Something that a person did."""

    movie_id: int | None
    imdb_id: str | None
    title: str | None
    release_year: int | None
    poster_path: str | None
    kind: Kind
    value: float | None
    at: dt.datetime
    recommendation_id: str | None
    position: int | None
    pending: bool


class History(BaseModel):
    """A page of what a person did, newest first."""

    results: list[HistoryRow]
    page: int
    total_results: int
    total_pages: int


class PersonExport(BaseModel):
    """Everything that is held about a person."""

    user_id: str
    name: str | None
    created_at: dt.datetime
    interactions: list[HistoryRow]


class Profile(BaseModel):
    """A person with a name."""

    user_id: str
    name: str
    interactions: int = Field(description="How much is known of what they did.")


class Profiles(BaseModel):
    """The people who have a name, those who came first at the top."""

    results: list[Profile]


class MeasuredRecall(BaseModel):
    """What share of their first ten rows lists of one kind have, compared with a search through everything."""

    answers: Literal["similar_by_embedding", "similar", "recommendations"]
    sampled: Literal["uniformly", "by_traffic"] = Field(description="How films, or people, were drawn.")
    filters: str | None
    queries: int = Field(description="Lists compared.")
    recall_at_10: float


class IndexState(BaseModel):
    """How vectors are searched, and what share of the nearest ten that finds."""

    kind: Literal["exact", "ivfflat", "hnsw"]
    lists: int | None
    probes: int | None
    ef_search: int | None
    recall_at_10: float | None
    measured_at: dt.datetime | None
    size_bytes: int | None
    recall: list[MeasuredRecall] = Field(description="The same, by what was asked for.")


class PastMeasurement(BaseModel):
    """What the vector index found at a time."""

    measured_at: dt.datetime
    event: Literal["build", "tune", "check"] = Field(description="A check is every night.")
    kind: Literal["exact", "ivfflat", "hnsw"]
    ef_search: int | None
    probes: int | None
    lists: int | None
    movies: int = Field(description="Films that had an embedding then.")
    recall_at_10: float


class IndexHistory(BaseModel):
    """What the vector index found, the oldest first."""

    results: list[PastMeasurement]
    target: float = Field(description="RECALL_TARGET: what it is tuned to.")


class QualityFigures(BaseModel):
    """How well lists find the film that somebody liked last, and had been kept from the training."""

    ndcg_at_10: float = Field(description="1 / log2(rank + 1) of that film; 0 beyond the tenth place.")
    recall_at_20: float = Field(description="The share of people who find it among twenty.")
    coverage: float = Field(description="The share of all films that stand among anyone's first ten.")


class Quality(BaseModel):
    """How good the factors in force were found to be when they were learned."""

    measured_at: dt.datetime
    version: str
    people: int = Field(description="Whose last film was looked for.")
    figures: QualityFigures
    popularity: QualityFigures = Field(description="The same of popular films, the same for everyone.")


class JobOutcome(BaseModel):
    """How a run of a job went, or that it goes on."""

    outcome: Literal["running", "succeeded", "skipped", "failed", "interrupted"]
    started_at: dt.datetime
    ended_at: dt.datetime | None


class JobRunDetail(JobOutcome):
    """A run with all that is known of it."""

    id: int
    due_at: dt.datetime | None = Field(description="The hour it was for; null where somebody asked for it.")
    requested_at: dt.datetime
    counts: dict[str, Any]
    error: str | None = Field(description="In one line, why it did not succeed.")


class PastRun(JobOutcome):
    """A run among others of its job."""

    job: str
    seconds: float | None = Field(description="How long it took; null while it goes on.")
    counts: dict[str, Any]
    error: str | None = Field(description="In one line, why it did not succeed.")


class JobRuns(BaseModel):
    """The last runs of a job, the newest first."""

    results: list[PastRun]


class JobState(BaseModel):
    """A job, when it is due, and its last run."""

    name: str
    description: str
    hour: int = Field(description="Local time of the service.")
    next_at: dt.datetime
    last: JobRunDetail | None
    queued: bool = Field(description="A run has been asked for and not begun.")


class JobList(BaseModel):
    """The jobs, and whether anything runs them."""

    jobs: list[JobState]
    scheduler_running: bool


class JobRequested(BaseModel):
    """A run that waits for the scheduler."""

    job: str
    run_id: int
    outcome: Literal["queued"]


class IngestProgress(BaseModel):
    """How far a fetch from TMDB is, or how far the last one came."""

    stored: int
    failed: int
    left: int = Field(description="Films that are still to be fetched.")
    films_a_second: float
    seconds_left: int | None = Field(description="At this rate, until none is left.")
    at: dt.datetime = Field(description="When this was told: every two seconds while a fetch goes on.")


class Stats(BaseModel):
    """The catalogue, its coverage, the people, the index, the jobs."""

    total_movies: int
    with_embeddings: int
    pending_embeddings: int
    coverage_percentage: float
    embedding_model: str
    interactions: int
    people: int
    pending_interactions: int
    index: IndexState
    taste_version: str | None = Field(description="Of the item factors that recommendations come from.")
    jobs: dict[str, JobOutcome] = Field(description="The last run of each job that has run.")
    ingest: IngestProgress | None = Field(description="Null where nothing was ever fetched from TMDB.")
    layer: Source = Field(description="The layer that answers.")


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(Live):
    """The service can answer, and is warm; words are understood unless the encoder is unusable."""

    encoder: Literal["loaded", "unusable"]
    layer: Source = Field(description="The layer that answers.")


class Deleted(BaseModel):
    """How many rows went."""

    deleted: int


class FieldError(BaseModel):
    """Which field, and what is wrong with it."""

    field: str
    code: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError]
    request_id: str

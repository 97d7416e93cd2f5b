"""What goes over the wire: bodies that are checked, answers that are documented."""

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from backend.catalog.filters import Filters, MovieRef, genre_name
from backend.catalog.records import IMDB_ID, MAX_INTEGER
from backend.feedback.weights import Kind
from backend.ml.answer import Request

PERSON = re.compile(r"[^/\x00-\x1f\x7f]{1,128}")
CLOCK_SKEW = dt.timedelta(minutes=5)
MAX_BATCH = 1000


def parse_movie_ref(value: Any) -> MovieRef:
    """A film as a client names it: a TMDB id, as a number or its digits, or an IMDb id."""
    if isinstance(value, str):
        if IMDB_ID.fullmatch(value):
            return value
        if re.fullmatch(r"[0-9]{1,10}", value):
            value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_INTEGER:
        return value
    raise PydanticCustomError("movie_id", "A film is a TMDB id (862) or an IMDb id (tt0114709)")


def parse_person(value: Any) -> str:
    """A person as the client names them; an integer is the same as its digits."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, str) and PERSON.fullmatch(value):
        return value
    raise PydanticCustomError(
        "user_id", "A person is 1 to 128 characters without slashes or control characters, or an integer"
    )


def _not_in_the_future(value: dt.datetime) -> dt.datetime:
    moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    if moment > dt.datetime.now(dt.UTC) + CLOCK_SKEW:
        raise PydanticCustomError("future", "This lies in the future")
    return moment


MovieId = Annotated[MovieRef, BeforeValidator(parse_movie_ref)]
Person = Annotated[str, BeforeValidator(parse_person)]


class Body(BaseModel):
    """A request body: a field that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid")


class InteractionBody(Body):
    """What a person did with a film."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"user_id": "ada", "movie_id": 862, "kind": "rating", "value": 4.5}}
    )

    user_id: Person
    movie_id: MovieId
    kind: Kind
    value: float | None = Field(None, ge=0.5, le=5, allow_inf_nan=False, description="Of a rating: 0.5 to 5.")
    at: Annotated[dt.datetime, AfterValidator(_not_in_the_future)] | None = Field(
        None, description="When; now where it is left out. Without a zone it is UTC."
    )
    recommendation_id: str | None = Field(None, max_length=400, description="Of the list it was chosen from.")
    position: int | None = Field(None, ge=1, le=500, description="Its place in that list.")

    @model_validator(mode="after")
    def _only_ratings_have_a_value(self) -> "InteractionBody":
        if self.kind == "rating" and self.value is None:
            raise PydanticCustomError("value", "A rating needs a value from 0.5 to 5", {"field": "value"})
        if self.kind != "rating" and self.value is not None:
            raise PydanticCustomError("value", "Only a rating has a value", {"field": "value"})
        return self


class InteractionBatch(Body):
    """Up to 1,000 at once; each is checked for itself, and those that can't be used are named."""

    interactions: list[Any] = Field(min_length=1, max_length=MAX_BATCH)


def _shape(body: Any) -> str:
    return "batch" if isinstance(body, dict | InteractionBatch) and "interactions" in dict(body) else "one"


Interactions = Annotated[
    Annotated[InteractionBody, Tag("one")] | Annotated[InteractionBatch, Tag("batch")], Discriminator(_shape)
]


def _split_commas(value: Any) -> Any:
    """In an address the ids to exclude stand in one parameter, with commas."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list):
        return parts
    return [item for part in parts for item in (part.split(",") if isinstance(part, str) else [part])]


class FilterFields(BaseModel):
    """Filters, the same everywhere."""

    genre: list[str] = Field(default_factory=list, max_length=20, description="Any of: names or TMDB ids.")
    exclude_genre: list[str] = Field(default_factory=list, max_length=20, description="None of.")
    year_min: int | None = Field(None, ge=1870, le=9999)
    year_max: int | None = Field(None, ge=1870, le=9999)
    runtime_min: int | None = Field(None, ge=0, le=10_000, description="Minutes.")
    runtime_max: int | None = Field(None, ge=0, le=10_000, description="Minutes.")
    vote_average_min: float | None = Field(None, ge=0, le=10, allow_inf_nan=False)
    vote_count_min: int | None = Field(None, ge=0, le=MAX_INTEGER)
    original_language: str | None = Field(None, pattern=r"^[a-z]{2}$", description="ISO 639-1, e.g. en.")
    exclude: Annotated[list[MovieId], BeforeValidator(_split_commas)] = Field(
        default_factory=list, max_length=1000, description="Ids to leave out, comma-separated."
    )

    def filters(self) -> Filters:
        """The same as the catalogue understands it. Raises UnknownGenreError."""
        given = {name: getattr(self, name) for name in FilterFields.model_fields}
        given["genre"] = tuple(genre_name(name, field="genre") for name in self.genre)
        given["exclude_genre"] = tuple(genre_name(name, field="exclude_genre") for name in self.exclude_genre)
        return Filters(**given | {"exclude": tuple(self.exclude)})


class BrowseQuery(FilterFields):
    """A page of the catalogue."""

    n: int = Field(20, ge=1, le=100, description="Rows on a page.")
    page: int = Field(1, ge=1, le=100_000)


class ListQuery(FilterFields):
    """A part of a ranked list."""

    n: int = Field(10, ge=1, le=100, description="Rows on a page.")
    page: int = Field(1, ge=1, le=500)
    diversity_boost: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="0: none; 1: as different as can be."
    )
    explain: bool = Field(False, description="Say why each film is there.")

    def request(self) -> Request:
        """The same as the layers understand it."""
        return Request(
            n=self.n,
            page=self.page,
            diversity_boost=self.diversity_boost,
            filters=self.filters(),
            explain=self.explain,
        )


class SimilarQuery(ListQuery):
    """Which similar films."""

    user_id: Person | None = Field(None, description="Leaves out what this person has seen or rejected.")
    by: Literal["embedding"] = Field("embedding", description="The cosine order of the embeddings.")


class RecommendationQuery(ListQuery):
    """Which recommendations."""

    diversity_boost: float = Field(0.2, ge=0, le=1, allow_inf_nan=False)


class PersonQuery(RecommendationQuery):
    """The same, the person among the parameters."""

    user_id: Person


class SearchQuery(FilterFields):
    """A search by title and meaning."""

    q: str = Field(min_length=1, max_length=500, description="A title, its beginning, or what it is about.")
    n: int = Field(10, ge=1, le=100, description="Rows on a page.")
    page: int = Field(1, ge=1, le=500)

    def request(self) -> Request:
        """The same as the layers understand it."""
        return Request(n=self.n, page=self.page, filters=self.filters())


class RecommendationBody(RecommendationQuery):
    """Someone without an account: films they like and do not like, and words for what they want."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"liked": [862, "tt0133093"], "query": "slow space horror", "n": 5}},
    )

    liked: list[MovieId] = Field(default_factory=list, max_length=500)
    disliked: list[MovieId] = Field(default_factory=list, max_length=500)
    query: str | None = Field(None, min_length=1, max_length=500)


class Genre(BaseModel):
    """A genre under its TMDB id."""

    id: int | None
    name: str


class GenreCount(Genre):
    """A genre and how many films have it."""

    movies: int


class Reason(BaseModel):
    """Why a film stands in the list; `share` is its part of the score."""

    kind: Literal["collection", "director", "actor", "keyword", "genre", "liked", "popular"]
    names: list[str] | None = None
    id: int | None = None
    title: str | None = None
    share: float | None = None


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


class MoviePage(BaseModel):
    """A page of the catalogue."""

    results: list[MovieRow]
    page: int
    total_results: int
    total_pages: int


class RankedList(BaseModel):
    """A ranked list and how it came about."""

    results: list[ScoredRow]
    page: int
    total_results: int | None = Field(description="At most 500; null where filters limit the list.")
    total_pages: int | None
    source: Literal["pgvector", "popular"] = Field(description="The layer that really answered.")
    degraded: bool
    cold_start: bool
    recommendation_id: str
    model_version: str
    generated_at: dt.datetime
    unknown: list[MovieRef] | None = Field(None, description="Of the films given, those not in the catalogue.")


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
    created_at: dt.datetime
    interactions: list[HistoryRow]


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

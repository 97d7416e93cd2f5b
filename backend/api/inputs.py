"""What comes in: parameters and bodies, checked before anything else sees them."""

import datetime as dt
import re
from dataclasses import replace
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from backend.catalog.filters import Filters, MovieRef, genre_name
from backend.catalog.records import GENRES, IMDB_ID
from backend.catalog.values import MAX_INTEGER
from backend.feedback.records import EARLIEST, PERSON
from backend.feedback.weights import Kind
from backend.ml.answer import By, Request

DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
CLOCK_SKEW = dt.timedelta(minutes=5)
MAX_BATCH = 1000


def parse_movie_ref(value: Any) -> MovieRef:
    """A film as a client names it: a TMDB id, as a number or its digits, or an IMDb id."""
    if isinstance(value, str):
        if IMDB_ID.fullmatch(value):
            return value
        # 10.0 is the integer 10 in JSON, and pydantic reads it so in addresses too.
        if number := re.fullmatch(r"([0-9]{1,10})(\.0+)?", value):
            value = int(number[1])
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


def _plausible(value: dt.datetime) -> dt.datetime:
    moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    if moment > dt.datetime.now(dt.UTC) + CLOCK_SKEW:
        raise PydanticCustomError("future", "This lies in the future")
    if moment < EARLIEST:
        # Nobody remembers; and a weight that halves every twenty years would vanish below what numbers can hold.
        raise PydanticCustomError("too_long_ago", "This lies before 1900")
    return moment


def _written_out(value: Any) -> Any:
    # A number could be seconds or milliseconds, and is taken for either.
    if not isinstance(value, str) or not DATED.match(value):
        raise PydanticCustomError("datetime", "A time is written like 2026-01-31T20:15:00Z")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("nul", "PostgreSQL has no NUL in text")
    return value


MOVIE_ID_TEXT = {"type": "string", "pattern": f"^({IMDB_ID.pattern}|[1-9][0-9]{{0,8}})$"}
PERSON_TEXT = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[^/\x00-\x1f\x7f]+$"}
"""As OpenAPI has them in an address, where all is text."""
MovieId = Annotated[
    MovieRef,
    BeforeValidator(parse_movie_ref),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_INTEGER}, MOVIE_ID_TEXT]}),
]
Person = Annotated[
    str,
    BeforeValidator(parse_person),
    WithJsonSchema({"anyOf": [PERSON_TEXT, {"type": "integer", "format": "int64"}]}),
]
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(_without_nul),
    WithJsonSchema({"type": "string", "maxLength": 500, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}),
]
GenreName = Annotated[str, WithJsonSchema({"type": "string", "enum": [*GENRES.values(), *map(str, GENRES)]})]
"""In any case of letters; `filters()` says what is none."""


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 10.0 is 10."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]


class Body(BaseModel):
    """A request body: a field that is not known is a mistake, and so is a number in quotes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, given: Any) -> Any:
        return {name: _whole(value) for name, value in given.items()} if isinstance(given, dict) else given


class InteractionBody(Body):
    """What a person did with a film."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"user_id": "ada", "movie_id": 862, "kind": "rating", "value": 4.5},
            "if": {"properties": {"kind": {"const": "rating"}}},
            "then": {"required": ["value"], "properties": {"value": {"type": "number"}}},
            "else": {"properties": {"value": {"type": "null"}}},
        }
    )

    user_id: Person
    movie_id: MovieId
    kind: Kind
    value: float | None = Field(None, ge=0.5, le=5, allow_inf_nan=False, description="Of a rating: 0.5 to 5.")
    at: Annotated[dt.datetime, BeforeValidator(_written_out), AfterValidator(_plausible)] | None = Field(
        None, strict=False, description="When; now where it is left out. Without a zone it is UTC."
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


class ProfileBody(Body):
    """What somebody is called; others may be called the same."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "Ada"}})

    name: Name


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

    genre: list[GenreName] = Field(default_factory=list, max_length=20, description="Any of: names or TMDB ids.")
    exclude_genre: list[GenreName] = Field(default_factory=list, max_length=20, description="None of.")
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
    by: By = Field(
        "best", description="best: by all that is known; embedding: the cosine order of the embeddings."
    )

    def request(self) -> Request:
        """The same as the layers understand it."""
        return replace(super().request(), by=self.by)


class RecommendationQuery(ListQuery):
    """Which recommendations."""

    diversity_boost: float = Field(0.2, ge=0, le=1, allow_inf_nan=False)


class RowsQuery(FilterFields):
    """What may stand in the rows."""

    n: int = Field(20, ge=1, le=50, description="Films in a row.")
    diversity_boost: float = Field(
        0.2, ge=0, le=1, allow_inf_nan=False, description="0: none; 1: as different as can be."
    )

    def request(self) -> Request:
        """The same as the layers understand it."""
        return Request(n=self.n, diversity_boost=self.diversity_boost, filters=self.filters())


class WhyQuery(FilterFields):
    """Which list a film is looked for in."""

    n: int = Field(10, ge=1, le=500, description="How long the list is.")

    def request(self) -> Request:
        """The same as the layers understand it."""
        return Request(n=self.n, filters=self.filters())


class PersonQuery(RecommendationQuery):
    """The same, the person among the parameters."""

    user_id: Person


class SearchQuery(FilterFields):
    """A search by title and meaning."""

    q: Words = Field(description="A title, its beginning, or what it is about.")
    n: int = Field(10, ge=1, le=100, description="Rows on a page.")
    page: int = Field(1, ge=1, le=500)

    def request(self) -> Request:
        """The same as the layers understand it."""
        return Request(n=self.n, page=self.page, filters=self.filters())


class RecommendationBody(Body, RecommendationQuery):
    """Someone without an account: films they like and do not like, and words for what they want."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"liked": [862, "tt0133093"], "query": "slow space horror", "n": 5}},
    )

    liked: list[MovieId] = Field(default_factory=list, max_length=500)
    disliked: list[MovieId] = Field(default_factory=list, max_length=500)
    query: Words | None = Field(None, description="Words for what is wanted.")

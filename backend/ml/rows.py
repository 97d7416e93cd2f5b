"""A home screen: rows of films, each with a subject and a reason, and no film twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from backend.ml.answer import LIST_END, NOT_A_VERDICT, Request, Rows, Source
from backend.ml.layer import Layer

LEAST_FILMS = 4
"""A row with fewer is left out."""
WELL_LIKED = 0.6
"""The least weight of a film that a row may be named for: a rating of four, not one of three and a half."""
SEEDS = 2
SPARE = 20
"""So many films more are asked for than a row has room for, where some of them are passed over."""

RECENT_YEARS = 10
"""What is older is new to nobody."""
RECENT_VOTES, RECENT_RATING = 50, 6.0
"""With fewer votes, what a film of this year is worth is not known yet."""
GEM_VOTES, GEM_RATING = (30, 1_000), 6.8
CHOICE = 4
"""Of so many films that might be hidden gems, one is shown."""
WIDE = 300
"""Among so many films that suit a person best is what they see little of."""
SOUND_VOTES, SOUND_RATING = 50, 6.5
"""Of something different: who is led astray wants to come back with something good."""
MOST_SEEN = 2
"""Genres that are left out of something different."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Films with something in common."""

    key: str
    title: str
    reason: str
    films: Rows
    seed: dict[str, Any] | None = None
    """The film that the row is named for."""


@dataclass(frozen=True, kw_only=True)
class Screen:
    """The rows in order, and how they came about."""

    rows: list[Row]
    source: Source
    model_version: str
    cold_start: bool


def home_screen(layer: Layer, user_id: str, request: Request, *, year: int) -> Screen:
    """What a person may want to watch, row by row: `request.n` films each, at most.

    Args:
        year: the one it is, by which films are recent.
    """
    mine = layer.recommend(user_id, request)
    asked = _Asked(layer, user_id, replace(request, diversity_boost=0.0), likes=layer.likes(user_id))
    asked.put(*_FOR_YOU[not mine.cold_start], mine.rows)
    _put_because(asked)
    _put_recent(asked, year, is_known=not mine.cold_start)
    _put_different(asked)
    # Of someone unknown nothing is known but what everybody likes, which is not hidden.
    gems = [] if mine.cold_start else _find_gems(asked)
    asked.explain(gems)
    asked.put("hidden_gems", "Hidden gems", _HIDDEN, less_known(gems))
    return Screen(
        rows=asked.rows, source=mine.source, model_version=mine.model_version, cold_start=mine.cold_start
    )


_FOR_YOU = {
    True: ("for_you", "For you", "What fits best with everything that you liked and disliked."),
    False: (
        "for_you",
        "Good films to start with",
        "Well known and well liked: say what you think of some, and this row becomes yours.",
    ),
}


_HIDDEN = "Few people know these, those who do think highly of them, and they fit your taste."


@dataclass
class _Asked:
    """A screen that is being put together."""

    layer: Layer
    user_id: str
    request: Request
    likes: Rows
    rows: list[Row] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)

    def wide(self, films: int) -> Request:
        """The same request for so many films beside those shown already."""
        return replace(self.request, n=min(films + len(self.shown), LIST_END))

    def recommended(self, request: Request, **limits: Any) -> Rows:
        """What suits the person within further limits."""
        limited = replace(request, filters=replace(request.filters, **limits))
        return self.fresh(self.layer.recommend(self.user_id, limited).rows)

    def fresh(self, films: Rows) -> Rows:
        """Those that are not shown yet."""
        return [film for film in films if film["id"] not in self.shown]

    def put(self, key: str, title: str, reason: str, films: Rows, *, seed: dict[str, Any] | None = None) -> None:
        """Add a row, unless it has too few films: those stay free for others."""
        films = self.fresh(films)[: self.request.n]
        if len(films) >= LEAST_FILMS:
            self.shown |= {film["id"] for film in films}
            self.rows.append(Row(key=key, title=title, reason=reason, films=films, seed=seed))

    def explain(self, more: Rows) -> None:
        """Say of each film why it is there, and of these: all that rank by taste in one go, and each in a word."""
        by_taste = [*more, *(film for row in self.rows if row.seed is None for film in row.films)]
        if by_taste:
            self.layer.explain(self.user_id, by_taste)
        for film in by_taste:
            film["why"] = film["why"][:1]
        for row in self.rows:
            if row.seed is not None:
                for film in row.films:
                    film["why"] = [{"kind": "liked", **row.seed}]


def _put_because(asked: _Asked) -> None:
    """Like one film, and like another that is unlike the first."""
    near: Rows = []
    seeds: Rows = []
    while len(seeds) < SEEDS and (seed := next_seed(asked.likes, seeds, near)):
        seeds.append(seed)
        request = asked.wide(asked.request.n + SPARE)
        like = asked.layer.similar(seed["id"], request, user_id=asked.user_id, not_counting=NOT_A_VERDICT)
        near += like.rows
        named = {"id": seed["id"], "title": seed["title"]}
        reason = f"They have much in common with {seed['title']}, which you liked."
        asked.put(f"because:{seed['id']}", f"Because you liked {seed['title']}", reason, like.rows, seed=named)


def next_seed(likes: Rows, seeds: Rows, near: Rows) -> dict[str, Any] | None:
    """The film to name the next row for: well liked, not like those before, and of other genres if possible."""
    taken = {film["id"] for film in (*seeds, *near)}
    series = {film["collection"] for film in seeds} - {None}
    genres = {genre for film in seeds for genre in film["genres"]}
    free = [
        film
        for film in likes
        if film["weight"] >= WELL_LIKED and film["id"] not in taken and film["collection"] not in series
    ]
    # The first of the least: likes come in their order.
    return min(free, key=lambda film: _shared(film["genres"], genres), default=None)


def _shared(genres: Sequence[str], others: set[str]) -> float:
    return len(others.intersection(genres)) / max(len(genres), 1)


def _put_recent(asked: _Asked, year: int, *, is_known: bool) -> None:
    """The newest of what suits: where a catalogue ends early, that is what is newest in it."""
    films = asked.recommended(
        asked.wide(4 * asked.request.n),
        year_min=max(asked.request.filters.year_min or 0, year - RECENT_YEARS),
        vote_count_min=max(asked.request.filters.vote_count_min or 0, RECENT_VOTES),
        vote_average_min=max(asked.request.filters.vote_average_min or 0.0, RECENT_RATING),
    )
    recent = newest(films, enough=2 * asked.request.n)[: asked.request.n]
    years = sorted({film["release_year"] for film in recent})
    if years:
        when = f"From {years[0]} to {years[-1]}" if len(years) > 1 else f"From {years[0]}"
        fitting = "chosen by your taste" if is_known else "chosen by what most people like"
        asked.put("new", "Recent releases", f"{when}, {fitting}.", recent)


def newest(films: Rows, *, enough: int) -> Rows:
    """The films of the last years that have enough of them, in their order; all, where these are fewer."""
    years = sorted((film["release_year"] for film in films), reverse=True)
    since = years[min(enough, len(years)) - 1] if years else 0
    return [film for film in films if film["release_year"] >= since]


def _put_different(asked: _Asked) -> None:
    """What suits a person of what they see least of: high in their list, of none of their usual genres."""
    usual = [genre for genre in most_seen(asked.likes) if genre not in asked.request.filters.genre]
    if not usual:
        return
    away = [
        film
        for film in asked.recommended(asked.wide(WIDE))
        if film["vote_count"] >= SOUND_VOTES
        and film["vote_average"] >= SOUND_RATING
        and not set(usual).intersection(film["genres"])
    ]
    reason = f"Away from {' and '.join(usual)}, which you watch most, and still likely to suit you."
    asked.put("different", "Something different", reason, away)


def _find_gems(asked: _Asked) -> Rows:
    """Films that few people voted for, and those highly."""
    least, most = GEM_VOTES
    return asked.recommended(
        asked.wide(CHOICE * asked.request.n),
        vote_count_min=max(asked.request.filters.vote_count_min or 0, least),
        vote_count_max=most,
        vote_average_min=max(asked.request.filters.vote_average_min or 0.0, GEM_RATING),
    )


def less_known(films: Rows) -> Rows:
    """The half of explained films that fewer people here and elsewhere like: votes tell little of older films."""
    known = [film.get("score_parts", {}).get("prior", 0.0) for film in films]
    usual = median(known) if known else 0.0
    return [film for film, fame in zip(films, known, strict=True) if fame <= usual]


def most_seen(likes: Rows) -> list[str]:
    """The genres that most of what a person likes has, the first one first."""
    weights: Counter[str] = Counter()
    for film in likes:
        weights.update(dict.fromkeys(film["genres"], film["weight"]))
    return sorted(weights, key=lambda genre: (-weights[genre], genre))[:MOST_SEEN]

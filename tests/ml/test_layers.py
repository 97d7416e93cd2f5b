"""The contract of the layers: what every one of them keeps to, and that layers 1 and 2 say the very same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from sqlalchemy.orm import Session

from backend.api.render import movie_row
from backend.catalog.filters import NO_FILTERS, Filters
from backend.catalog.records import MovieRecord
from backend.errors import MovieNotFoundError
from backend.feedback.weights import KINDS, Kind
from backend.ml.answer import BECAUSE, LIST_END, NOT_A_VERDICT, NOT_SEEN, Answer, Request, Rows
from backend.ml.artefact import open_current
from backend.ml.embedding_recommender import EmbeddingRecommender
from backend.ml.file_cache import FileCache, cache_folder
from backend.ml.film_table import FilmTable
from backend.ml.pgvector_recommender import PgvectorConfig, PgvectorRecommender
from backend.ml.popular_recommender import PopularRecommender
from backend.ml.recommender import Layer
from backend.ml.svd_recommender import SVDModel, SVDRecommender, models_folder
from tests.ml.checkerboard import (
    ADULT,
    FIRST_OF_KINDS,
    NO_VECTOR,
    OTHERS,
    SQUARES,
    UNTOUCHED,
    World,
    all_films,
    all_people,
    person,
    withheld,
)

FILMS, PEOPLE = all_films(), all_people()
HIDDEN, WITHOUT_VECTOR = set(ADULT), set(NO_VECTOR)
EVERY = ("pgvector", "file_cache", "svd", "popular")
PERSONAL = EVERY[:3]
BY_VECTOR = EVERY[:2]
WHOLE = Request(n=LIST_END)
FACTS = {"collection": "collection", "director": "directors", "actor": "actors", "keyword": "keywords"}
FACTS |= {"genre": "genres"}

Layers = dict[str, Layer]


def layers_of(world: World, session: Session, *, include_adult: bool = False) -> Layers:
    """Every layer, on the same films."""
    settings = world.settings.model_copy(update={"include_adult": include_adult})
    cached = open_current(cache_folder(settings))
    cache = FileCache.open(cached, model=settings.embedding_model)
    model = SVDModel.open(open_current(models_folder(settings)))
    return {
        "pgvector": PgvectorRecommender(session, PgvectorConfig.from_settings(settings)),
        "file_cache": EmbeddingRecommender(cache, include_adult=include_adult),
        "svd": SVDRecommender(model, include_adult=include_adult),
        "popular": PopularRecommender(FilmTable.open(cached), include_adult=include_adult),
    }


@pytest.fixture
def layers(world: World) -> Iterator[Layers]:
    with Session(world.engine) as session:
        yield layers_of(world, session)


@pytest.fixture(params=EVERY)
def each(request: pytest.FixtureRequest, layers: Layers) -> Layer:
    """One layer after the other."""
    return layers[request.param]


@pytest.fixture(params=PERSONAL)
def personal(request: pytest.FixtureRequest, layers: Layers) -> Layer:
    """Of them, those that know people."""
    return layers[request.param]


def name_of(layer: Layer) -> str:
    return "pgvector" if isinstance(layer, PgvectorRecommender) else layer.source  # type: ignore[attr-defined]


def ids(answer: Answer) -> list[int]:
    """The films, in order."""
    return [row["id"] for row in answer.rows]


def sent(rows: Rows) -> list[bytes]:
    """Rows as they go out."""
    return [orjson.dumps(movie_row(row), option=orjson.OPT_SORT_KEYS) for row in rows]


# What comes back


@pytest.mark.parametrize("boost", [0.0, 0.2])
def test_the_withheld_film_comes_back(personal: Layer, boost: float) -> None:
    for number in range(0, len(SQUARES), 3):
        answer = personal.recommend(person(number), Request(n=100, diversity_boost=boost))
        found = ids(answer)
        assert found[0] == withheld(number)
        assert answer.rows[0]["score"] > 2 * answer.rows[1]["score"]
        assert (answer.source, answer.cold_start, answer.degraded) == (name_of(personal), False, False)


def test_so_it_does_for_someone_without_an_account(personal: Layer) -> None:
    for number in (0, 7, 20, 39):
        liked: list[int | str] = sorted(film for film, _ in PEOPLE[person(number)])
        answer, unknown = personal.recommend_for(Request(n=5), liked=liked, disliked=[41])
        assert ids(answer)[0] == withheld(number)
        assert unknown == []
        assert {*liked, 41}.isdisjoint(ids(personal.recommend_for(WHOLE, liked=liked, disliked=[41])[0]))


def test_the_films_like_an_even_one_are_the_even_ones(personal: Layer) -> None:
    for film in SQUARES[::3]:
        found = ids(personal.similar(film, Request(n=19)))
        assert set(found) == {other for other in SQUARES if other % 2 == film % 2} - {film}


def test_what_is_disliked_pushes_its_kind_away(personal: Layer) -> None:
    answer, _ = personal.recommend_for(Request(n=19), liked=[1], disliked=[2])
    assert all(film % 2 for film in ids(answer))


def test_where_people_say_nothing_of_films_the_popular_ones_come_first(layers: Layers) -> None:
    """Only of a list that holds such films: they are neither near nor far."""
    best, _ = layers["svd"].browse(NO_FILTERS, limit=1000, offset=0)
    rank = {row["id"]: place for place, row in enumerate(best)}
    for answer in (layers["svd"].recommend("likes two", WHOLE), layers["svd"].similar(4, WHOLE)):
        between = [row["id"] for row in answer.rows if row["score"] == 0]
        assert len(between) > 10
        assert between == sorted(between, key=rank.__getitem__)


# What must not come back


def test_nothing_that_a_person_did_is_recommended(personal: Layer, world: World) -> None:
    for who in PEOPLE:
        done = world.done(who, but_for=NOT_A_VERDICT)
        assert done.isdisjoint(ids(personal.recommend(who, WHOLE))), who
    diverse = personal.recommend(person(3), Request(n=100, diversity_boost=1.0))
    assert world.done(person(3), but_for=()).isdisjoint(ids(diverse))


def test_nothing_seen_or_rejected_is_similar(personal: Layer, world: World) -> None:
    for who in [*PEOPLE][::3]:
        seen = world.done(who, but_for=NOT_SEEN)
        found = set(ids(personal.similar(41, WHOLE, user_id=who)))
        assert seen.isdisjoint(found), who
    assert ids(personal.similar(41, WHOLE, user_id="nobody")) == ids(personal.similar(41, WHOLE))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_but_a_click_keeps_a_film_out(personal: Layer, kind: Kind) -> None:
    film = FIRST_OF_KINDS + KINDS.index(kind)
    only = Filters(exclude=tuple(number for number in FILMS if number != film))
    recommended = ids(personal.recommend("all kinds", Request(filters=only)))
    assert recommended == ([film] if kind == "click" else [])
    similar = ids(personal.similar(41, Request(filters=only), user_id="all kinds"))
    assert similar == ([film] if kind in ("click", "watchlist") else [])


def test_adult_films_stand_in_no_answer(each: Layer) -> None:
    answers = (
        each.similar(1, WHOLE),
        each.recommend(person(1), WHOLE),
        each.recommend("nobody", WHOLE),
        each.recommend_for(WHOLE, liked=[2, ADULT[0]])[0],
    )
    for answer in answers:
        assert HIDDEN.isdisjoint(ids(answer))
        assert answer.total_results == len(answer.rows)
    rows, total = each.browse(NO_FILTERS, limit=1000, offset=0)
    assert {row["id"] for row in rows} == FILMS.keys() - HIDDEN
    assert total == len(rows)
    with pytest.raises(MovieNotFoundError):
        each.similar(ADULT[0], WHOLE)
    with pytest.raises(MovieNotFoundError):
        each.detail(ADULT[0])


@pytest.mark.parametrize("name", EVERY)
def test_unless_they_are_wanted(world: World, name: str) -> None:
    only = Filters(exclude=tuple(FILMS.keys() - HIDDEN))
    with Session(world.engine) as session:
        layer = layers_of(world, session, include_adult=True)[name]
        assert set(ids(layer.recommend(person(1), Request(n=50, filters=only)))) == HIDDEN
        assert layer.browse(NO_FILTERS, limit=1, offset=0)[1] == len(FILMS)
        assert layer.detail(ADULT[0])["id"] == ADULT[0]


# Filters

Fits = Callable[[MovieRecord], bool]
FILTERS: dict[str, tuple[Filters, Fits]] = {
    "any of": (Filters(genre=("Drama", "War")), lambda film: bool({"Drama", "War"} & set(film.genres))),
    "a genre of nobody": (Filters(genre=("Noir",)), lambda _: False),
    "none of": (Filters(exclude_genre=("Drama", "War")), lambda film: not {"Drama", "War"} & set(film.genres)),
    "year_min": (Filters(year_min=1999), lambda film: film.release_year is not None and film.release_year >= 1999),
    "year_max": (Filters(year_max=1950), lambda film: film.release_year is not None and film.release_year <= 1950),
    "runtime_min": (Filters(runtime_min=150), lambda film: film.runtime is not None and film.runtime >= 150),
    "runtime_max": (Filters(runtime_max=80), lambda film: film.runtime is not None and film.runtime <= 80),
    "no bound at all": (Filters(runtime_min=0), lambda film: film.runtime is not None),
    "vote_average_min": (Filters(vote_average_min=7.3), lambda film: film.vote_average >= 7.3),
    "vote_count_min": (Filters(vote_count_min=9000), lambda film: film.vote_count >= 9000),
    "votes of zero": (Filters(vote_count_min=0), lambda _: True),
    "original_language": (Filters(original_language="fr"), lambda film: film.original_language == "fr"),
    "a language of nobody": (Filters(original_language="de"), lambda _: False),
    "exclude": (
        Filters(exclude=(3, 44, "tt0000045", "tt9999999", 10**6)),
        lambda film: film.id not in (3, 44, 45),
    ),
    "all at once": (
        Filters(
            genre=("Drama", "War", "Comedy", "Action", "Horror"),
            exclude_genre=("Family",),
            year_min=1930,
            year_max=2020,
            runtime_min=70,
            runtime_max=190,
            vote_average_min=2.0,
            vote_count_min=1000,
            original_language="en",
            exclude=(3, "tt0000045"),
        ),
        lambda film: (
            bool({"Drama", "War", "Comedy", "Action", "Horror"} & set(film.genres))
            and "Family" not in film.genres
            and 1930 <= (film.release_year or 0) <= 2020
            and 70 <= (film.runtime or 0) <= 190
            and film.vote_average >= 2
            and film.vote_count >= 1000
            and film.original_language == "en"
            and film.id not in (3, 45)
        ),
    ),
}


def in_reach(name: str) -> set[int]:
    """The films that a ranked list of this layer can hold."""
    return FILMS.keys() - HIDDEN - (WITHOUT_VECTOR if name in BY_VECTOR else set())


def fitting(films: set[int], fits: Fits) -> set[int]:
    return {number for number in films if fits(FILMS[number])}


def assert_full(ask: Callable[[Request], Answer], filters: Filters, expected: set[int]) -> None:
    """That as many rows come as were asked for, or all there are, and nothing else."""
    there_are = len(expected)
    for n in {1, max(1, there_are - 1), max(1, there_are), there_are + 1}:
        answer = ask(Request(n=min(n, LIST_END), filters=filters))
        assert len(set(ids(answer))) == len(answer.rows) == min(n, there_are, LIST_END)
        assert set(ids(answer)) <= expected
        assert answer.total_results is None


@pytest.mark.parametrize("name", FILTERS)
def test_filters_hold_and_a_list_is_full_whenever_there_are_enough(each: Layer, name: str) -> None:
    filters, fits = FILTERS[name]
    reach, visible = in_reach(name_of(each)), FILMS.keys() - HIDDEN
    done = {2, 4} if name_of(each) != "popular" else set()
    assert_full(lambda request: each.recommend("nobody", request), filters, fitting(visible, fits))
    assert_full(lambda request: each.recommend("likes two", request), filters, fitting(reach - done, fits))
    liked, _ = each.recommend_for(Request(n=LIST_END, filters=filters), liked=[2, "tt0000004"])
    assert set(ids(liked)) == fitting(reach - {2, 4}, fits) if len(liked.rows) < LIST_END else len(reach) > 500
    # A film of no genre, so that all are of its kind where nothing else is known.
    assert_full(lambda request: each.similar(4, request), filters, fitting(reach - {4}, fits))
    rows, total = each.browse(filters, limit=1000, offset=0)
    assert {row["id"] for row in rows} == fitting(visible, fits)
    assert total == len(rows)


def test_filters_and_what_a_person_did_hold_together(personal: Layer, world: World) -> None:
    filters, fits = FILTERS["any of"]
    for who in list(PEOPLE)[::5]:
        found = set(ids(personal.recommend(who, Request(n=LIST_END, filters=filters))))
        assert found
        assert found <= fitting(FILMS.keys() - HIDDEN, fits) - world.done(who, but_for=NOT_A_VERDICT)


# Lists and their pages

ASKS: dict[str, Callable[[Layer, Request], Answer]] = {
    "similar": lambda layer, request: layer.similar(4, request),
    "a person": lambda layer, request: layer.recommend("likes two", request),
    "nobody": lambda layer, request: layer.recommend("nobody", request),
    "films": lambda layer, request: layer.recommend_for(request, liked=[2], disliked=[3])[0],
}


@pytest.mark.parametrize("boost", [0.0, 0.3])
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_pages_are_slices_of_one_list_that_ends_at_500(
    each: Layer, ask: Callable[[Layer, Request], Answer], boost: float
) -> None:
    whole = ask(each, Request(n=LIST_END, diversity_boost=boost))
    films = ids(whole)
    assert len(set(films)) == len(films) == whole.total_results == LIST_END
    for n, page in ((1, 1), (7, 15), (30, 4), (100, 2), (100, 5), (300, 2), (499, 2)):
        part = ask(each, Request(n=n, page=page, diversity_boost=boost))
        assert part.rows == whole.rows[(page - 1) * n : page * n]
        assert replace(part, rows=[]) == replace(whole, rows=[])
    for page in (6, 7, 10**6):
        past = ask(each, Request(n=100, page=page, diversity_boost=boost))
        assert past == replace(whole, rows=[])


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_without_diversity_scores_fall_and_with_it_the_first_stays(
    each: Layer, ask: Callable[[Layer, Request], Answer]
) -> None:
    plain = ask(each, Request(n=100))
    scores = [row["score"] for row in plain.rows]
    assert scores == sorted(scores, reverse=True)
    assert all(type(score) is float and np.isfinite(score) for score in scores)
    diverse = ask(each, Request(n=100, diversity_boost=1.0))
    assert ids(diverse)[0] == ids(plain)[0]
    assert set(ids(diverse)) == set(ids(plain))


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_equal_questions_have_equal_answers(each: Layer, ask: Callable[[Layer, Request], Answer]) -> None:
    request = Request(n=100, diversity_boost=0.4, explain=True)
    assert ask(each, request) == ask(each, request)


def test_browsing_goes_through_all_films_in_one_order(layers: Layers) -> None:
    whole, _ = layers["pgvector"].browse(NO_FILTERS, limit=1000, offset=0)
    for layer in layers.values():
        paged: Rows = []
        for offset in range(0, 700, 70):
            rows, total = layer.browse(NO_FILTERS, limit=70, offset=offset)
            assert total == len(whole)
            paged += rows
        assert sent(paged) == sent(whole)
        assert layer.browse(Filters(year_min=3000), limit=5, offset=0) == ([], 0)


# Who is not known


@pytest.mark.parametrize("ref", [10**6, 0, -1, 2**31 - 1, 2**31, 2**63, "tt9999999", "tt", "tt00000030000000"])
def test_an_unknown_film_is_not_found(each: Layer, ref: int | str) -> None:
    if name_of(each) != "popular":
        with pytest.raises(MovieNotFoundError):
            each.similar(ref, Request())
    with pytest.raises(MovieNotFoundError):
        each.detail(ref)


def test_where_only_popular_films_are_left_an_unknown_one_has_them_too(layers: Layers) -> None:
    answer = layers["popular"].similar(10**6, Request(explain=True))
    assert ids(answer) == ids(layers["popular"].recommend("nobody", Request()))
    assert (answer.source, answer.cold_start) == ("popular", False)
    assert all(row["why"] == [{"kind": "popular"}] for row in answer.rows)


@pytest.mark.parametrize("who", ["nobody", "hates", "undecided", "' OR 1=1 --", "日本"])
def test_where_nothing_speaks_for_a_person_popular_films_do(each: Layer, who: str, world: World) -> None:
    answer = each.recommend(who, WHOLE)
    done = world.done(who, but_for=()) if name_of(each) != "popular" else set()
    best, _ = each.browse(NO_FILTERS, limit=1000, offset=0)
    assert ids(answer) == [row["id"] for row in best if row["id"] not in done][:LIST_END]
    assert (answer.source, answer.cold_start, answer.total_results) == ("popular", True, LIST_END)
    assert answer == each.recommend_for(WHOLE, disliked=sorted(done))[0]


def test_what_is_unknown_of_the_films_given_is_named_as_it_was_given(each: Layer) -> None:
    liked, disliked = [2, 10**6, "tt0000004", 10**6], ["tt9999999", 4, "tt0000003"]
    answer, unknown = each.recommend_for(Request(n=50), liked=liked, disliked=disliked)
    assert unknown == [10**6, 10**6, "tt9999999"]
    assert {2, 3, 4}.isdisjoint(ids(answer))
    only_unknown, _ = each.recommend_for(Request(), liked=[10**6])
    assert (only_unknown.source, only_unknown.cold_start) == ("popular", True)


def test_of_a_film_both_liked_and_disliked_the_liking_counts(personal: Layer) -> None:
    answer, _ = personal.recommend_for(Request(n=10), liked=[2], disliked=["tt0000002"])
    assert answer == personal.recommend_for(Request(n=10), liked=[2])[0]


@pytest.mark.parametrize("film", [UNTOUCHED, UNTOUCHED + 1])
def test_a_film_without_a_place_has_popular_films_of_its_genres(each: Layer, film: int) -> None:
    answer = each.similar(film, Request(n=20))
    westerns = {number for number in FILMS.keys() - HIDDEN if "Western" in FILMS[number].genres}
    best, _ = each.browse(Filters(genre=("Western",)), limit=21, offset=0)
    assert ids(answer) == [row["id"] for row in best if row["id"] != film][:20]
    assert (answer.source, answer.cold_start, answer.total_results) == ("popular", False, len(westerns) - 1)
    taste, _ = each.recommend_for(Request(), liked=[film])
    assert (taste.source, taste.cold_start) == ("popular", True)
    assert film not in ids(taste)


def test_a_vector_less_film_that_is_all_one_has_is_no_taste(layers: Layers) -> None:
    for name in BY_VECTOR:
        answer = layers[name].recommend("ahead", WHOLE)
        assert (answer.source, answer.cold_start) == ("popular", True)
        assert NO_VECTOR[0] not in ids(answer)


def test_words_alone_are_a_taste_where_they_are_understood(layers: Layers) -> None:
    meaning = np.zeros(384, dtype=np.float32)
    meaning[0] = 1
    for name in EVERY:
        answer, _ = layers[name].recommend_for(Request(n=20), meaning=meaning)
        assert answer.source == (name if name in BY_VECTOR else "popular")
        if name in BY_VECTOR:
            assert set(ids(answer)) == set(SQUARES[1::2])


# What rows are made of


def test_a_film_is_told_in_the_same_json_by_every_layer(layers: Layers) -> None:
    for film in (1, 2, 3, 10, 41, 45, 400, UNTOUCHED):
        told = [sent([layer.detail(film)]) for layer in layers.values()]
        assert told[0] == told[1] == told[2] == told[3]
        imdb_id = FILMS[film].imdb_id
        if imdb_id is not None:
            assert all(layer.detail(imdb_id)["id"] == film for layer in layers.values())


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("boost", [0.0, 0.5])
def test_rows_have_the_same_fields_in_every_layer(
    layers: Layers, ask: Callable[[Layer, Request], Answer], explain: bool, boost: float
) -> None:
    shown = {}
    for layer in layers.values():
        for row in ask(layer, Request(n=200, explain=explain, diversity_boost=boost)).rows:
            out = movie_row(row)
            assert isinstance(out.pop("score"), float)
            assert ("why" in out) is explain
            out.pop("why", None)
            assert shown.setdefault(row["id"], orjson.dumps(out)) == orjson.dumps(out)


# Reasons


def test_similar_films_say_what_they_share(each: Layer) -> None:
    seed = FILMS[44]
    for row in each.similar(44, Request(n=50, explain=True)).rows:
        film = FILMS[row["id"]]
        kinds = [reason["kind"] for reason in row["why"]]
        assert kinds == [kind for kind in FACTS if kind in kinds]
        told = {reason["kind"]: reason["names"] for reason in row["why"]}
        assert told == {kind: names for kind in FACTS if (names := shared(seed, film, FACTS[kind]))}


def shared(seed: MovieRecord, film: MovieRecord, field: str) -> list[str]:
    """The names that stand in this field of both."""
    both = [getattr(one, field) for one in (film, seed)]
    lists = [[one] if isinstance(one, str) else one or [] for one in both]
    return [name for name in lists[0] if name in lists[1]]


@pytest.mark.parametrize("boost", [0.0, 0.5])
def test_the_shares_of_the_liked_films_add_up_to_the_score(personal: Layer, boost: float) -> None:
    answer = personal.recommend("likes two", Request(n=18, explain=True, diversity_boost=boost))
    even = [row for row in answer.rows if row["id"] in SQUARES]
    assert even
    for row in even:
        assert [(cause["kind"], cause["title"]) for cause in row["why"]] == [
            ("liked", FILMS[cause["id"]].title) for cause in row["why"]
        ]
        assert {cause["id"] for cause in row["why"]} == {2, 4}
        shares = [cause["share"] for cause in row["why"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(row["score"], abs=3e-4)


def test_three_reasons_at_most_and_each_speaks_for_the_film(personal: Layer) -> None:
    for who in (person(3), "mixed 1", "all kinds"):
        liked = {film for film, _ in PEOPLE[who]}
        for row in personal.recommend(who, Request(n=30, explain=True)).rows:
            assert len(row["why"]) <= BECAUSE
            assert {cause["id"] for cause in row["why"]} <= liked
            assert all(cause["share"] >= 0 for cause in row["why"])
        first = personal.recommend(who, Request(n=1, explain=True)).rows[0]
        assert len(first["why"]) == BECAUSE


def test_what_is_only_popular_says_no_more(each: Layer) -> None:
    for row in each.recommend("nobody", Request(n=30, explain=True)).rows:
        assert row["why"] == [{"kind": "popular"}]


# Layers 1 and 2 compute the same thing from the same numbers

NEARLY = 1e-5
TIE = 1e-6
"""Scores nearer than this may stand in either order: sums of floats end a little differently."""


def assert_same(from_database: Answer, from_files: Answer) -> None:
    """That two answers are the same but for their source and the last digits of their scores."""
    reasons = {row["id"]: row.get("why") for row in from_database.rows}
    for mine, its in zip(from_files.rows, from_database.rows, strict=True):
        difference = abs(mine["score"] - its["score"])
        assert difference < (NEARLY if mine["id"] == its["id"] else TIE)
        assert_same_reasons(mine.get("why"), reasons.get(mine["id"], mine.get("why")))
    if from_database.rows:
        expected = from_database.source.replace("pgvector", "file_cache")
        assert (from_files.source, from_files.cold_start) == (expected, from_database.cold_start)
    assert from_files.total_results == from_database.total_results
    assert from_files.model_version == from_database.model_version


def assert_same_reasons(mine: Rows | None, its: Rows | None) -> None:
    if mine is None or its is None:
        assert mine is its
        return
    without_shares = [[{**reason, "share": None} for reason in reasons] for reasons in (mine, its)]
    assert without_shares[0] == without_shares[1]
    for one, other in zip(mine, its, strict=True):
        assert one.get("share", 0) == pytest.approx(other.get("share", 0), abs=2e-4)


def some_requests(count: int) -> Iterator[Request]:
    """Requests of every sort, the same ones in every run."""
    rng = np.random.default_rng(21)
    choices = [filters for filters, _ in FILTERS.values()]
    for _ in range(count):
        n = int(rng.choice([1, 3, 10, 10, 40, 100]))
        yield Request(
            n=n,
            page=int(rng.choice([1, 1, 1, 2, 5])),
            diversity_boost=float(rng.choice([0, 0, 0.2, 0.5, 1])),
            filters=choices[int(rng.integers(len(choices)))] if rng.random() < 0.4 else NO_FILTERS,
            explain=n <= 10,
        )


def test_layers_1_and_2_recommend_everyone_the_same(layers: Layers) -> None:
    everyone = ["nobody", *PEOPLE]
    for who, request in zip(everyone, some_requests(len(everyone)), strict=True):
        assert_same(layers["pgvector"].recommend(who, request), layers["file_cache"].recommend(who, request))


def test_layers_1_and_2_find_the_same_films_similar(layers: Layers) -> None:
    films = [*SQUARES[::4], *OTHERS[:-60:9], *NO_VECTOR[::5]]
    people = ["nobody", *PEOPLE, None]
    for place, (film, request) in enumerate(zip(films, some_requests(len(films)), strict=True)):
        ref = FILMS[film].imdb_id or film
        who = people[place % len(people)]
        assert_same(
            layers["pgvector"].similar(ref, request, user_id=who),
            layers["file_cache"].similar(ref, request, user_id=who),
        )


def test_layers_1_and_2_answer_someone_without_an_account_the_same(layers: Layers) -> None:
    rng = np.random.default_rng(5)
    for request in some_requests(60):
        liked: Sequence[Any] = rng.choice([*FILMS, 10**6], size=rng.integers(0, 9)).tolist()
        disliked: Sequence[Any] = rng.choice([*FILMS, 10**6], size=rng.integers(0, 4)).tolist()
        meaning = rng.normal(size=384).astype(np.float32) if rng.random() < 0.3 else None
        if meaning is not None:
            meaning /= np.linalg.norm(meaning)
        answers = [
            layers[name].recommend_for(request, liked=liked, disliked=disliked, meaning=meaning)
            for name in BY_VECTOR
        ]
        assert_same(answers[0][0], answers[1][0])
        assert answers[0][1] == answers[1][1]

"""The contract of the layers: what every one of them keeps to, and that layers 1 and 2 say the very same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
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
from backend.ml.answer import (
    BECAUSE,
    LIST_END,
    NOT_A_VERDICT,
    NOT_SEEN,
    Answer,
    Request,
    Rows,
    Source,
    Verdict,
)
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


def test_the_films_like_an_even_one_are_the_even_ones_and_those_of_its_collection(personal: Layer) -> None:
    for film in SQUARES[::3]:
        colour = {other for other in SQUARES if other % 2 == film % 2} - {film}
        together = in_collection(FILMS[film].collection) - {film}
        found = ids(personal.similar(film, Request(n=len(colour | together))))
        assert set(found) == colour | together


def in_collection(name: str | None) -> set[int]:
    """The films of a collection that a list can hold."""
    films = FILMS.keys() - HIDDEN - WITHOUT_VECTOR
    return {number for number in films if FILMS[number].collection == name} if name else set()


@pytest.mark.parametrize("name", BY_VECTOR)
def test_by_embedding_it_is_the_cosine_alone(layers: Layers, name: str) -> None:
    for film in SQUARES[::3]:
        found = ids(layers[name].similar(film, Request(n=19, by="embedding")))
        assert set(found) == {other for other in SQUARES if other % 2 == film % 2} - {film}


def test_what_is_disliked_pushes_its_kind_away(personal: Layer) -> None:
    answer, _ = personal.recommend_for(Request(n=19), liked=[1], disliked=[2])
    assert all(film % 2 for film in ids(answer))


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
    return FILMS.keys() - HIDDEN - (WITHOUT_VECTOR if name in PERSONAL else set())


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
    assert_full(lambda request: each.recommend("nobody", request), filters, fitting(reach, fits))
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


@pytest.mark.parametrize("who", ["nobody", "undecided", "' OR 1=1 --", "日本"])
def test_where_nothing_speaks_for_a_person_everyones_start_does(each: Layer, who: str, world: World) -> None:
    """With the factors of these tests that is quality."""
    answer = each.recommend(who, WHOLE)
    done = world.done(who, but_for=()) if name_of(each) != "popular" else set()
    best, _ = each.browse(NO_FILTERS, limit=1000, offset=0)
    reach = in_reach(name_of(each)) - done
    assert ids(answer) == [row["id"] for row in best if row["id"] in reach][:LIST_END]
    assert (answer.source, answer.cold_start, answer.total_results) == ("popular", True, LIST_END)


def test_who_only_dislikes_gets_less_of_that_and_it_is_called_popular(each: Layer) -> None:
    answer = each.recommend("hates", WHOLE)
    assert (answer.source, answer.cold_start, answer.total_results) == ("popular", True, LIST_END)
    if name_of(each) != "popular":
        assert {1, 2, 3, *SQUARES}.isdisjoint(ids(answer)[:400])
        assert all(ids(each.recommend("nobody", Request(n=1))) != [film] for film in SQUARES)


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


def test_words_order_films_by_meaning_and_by_taste_where_they_are_understood(layers: Layers) -> None:
    meaning = np.zeros(384, dtype=np.float32)
    meaning[0] = 1
    by_taste = ids(layers["pgvector"].recommend_for(Request(n=LIST_END), liked=[2, 1])[0])
    for name in EVERY:
        answer, _ = layers[name].recommend_for(Request(n=20, explain=True), liked=[2, 1], meaning=meaning)
        if name not in BY_VECTOR:
            assert answer == layers[name].recommend_for(Request(n=20, explain=True), liked=[2, 1])[0]
            continue
        assert (answer.source, answer.cold_start) == (name, False)
        assert set(ids(answer)[:19]) == set(SQUARES[1::2]) - {2}
        assert set(ids(answer)[:19]) < set(by_taste[:38])
        assert all(row["why"] == [{"kind": "words"}] for row in answer.rows)


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
    shown: dict[int, bytes] = {}
    is_by_taste = ask is not ASKS["similar"]
    for name, layer in layers.items():
        for row in ask(layer, Request(n=200, explain=explain, diversity_boost=boost)).rows:
            out = movie_row(row)
            assert isinstance(out.pop("score"), float)
            assert ("why" in out) is explain
            out.pop("why", None)
            parts = out.pop("score_parts", None)
            assert (parts is None) is not (explain and is_by_taste and name in PERSONAL)
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


SOME_PEOPLE = (person(3), "mixed 1", "mixed 7", "all kinds", "likes two", "hates", "undecided", "nobody")


@pytest.mark.parametrize("boost", [0.0, 0.5])
@pytest.mark.parametrize("who", SOME_PEOPLE)
def test_the_shares_add_up_to_the_score_and_so_do_its_parts(personal: Layer, who: str, boost: float) -> None:
    for row in personal.recommend(who, Request(n=30, explain=True, diversity_boost=boost)).rows:
        shares = [reason["share"] for reason in row["why"] if "share" in reason]
        assert sum(shares) == pytest.approx(row["score"], rel=1e-4, abs=1e-5)
        assert sum(row["score_parts"].values()) == pytest.approx(row["score"], rel=1e-4, abs=1e-5)
        assert row["score_parts"].keys() == {"taste", "company", "content", "prior"}


def test_three_liked_films_at_most_the_telling_first_then_the_rest_then_facts(personal: Layer) -> None:
    for who in (person(3), "mixed 1", "all kinds"):
        done = {film for film, _ in PEOPLE[who]}
        for row in personal.recommend(who, Request(n=30, explain=True)).rows:
            kinds = [reason["kind"] for reason in row["why"]]
            liked = [reason for reason in row["why"] if reason["kind"] == "liked"]
            assert kinds[: len(liked)] == ["liked"] * len(liked)
            assert len(liked) <= BECAUSE
            assert {cause["id"] for cause in liked} <= done
            assert all(cause["title"] == FILMS[cause["id"]].title for cause in liked)
            assert [cause["share"] for cause in liked] == sorted(
                [cause["share"] for cause in liked if cause["share"] > 0], reverse=True
            )
            rest = kinds[len(liked) :]
            facts = row["why"][-len(rest) :][rest.index("popular") + 1 :]
            assert rest[: rest.index("popular") + 1] in (["popular"], ["others", "popular"])
            assert [fact["kind"] for fact in facts] == [kind for kind in FACTS if kind in rest]
            assert all((fact["id"], fact["title"]) == (liked[0]["id"], liked[0]["title"]) for fact in facts)
            for fact in facts:
                assert fact["names"] == shared(FILMS[liked[0]["id"]], FILMS[row["id"]], FACTS[fact["kind"]])
        first = personal.recommend(who, Request(n=1, explain=True)).rows[0]
        assert [reason["kind"] for reason in first["why"]][:BECAUSE] == ["liked"] * BECAUSE


def test_without_a_named_film_the_score_would_be_lower(personal: Layer) -> None:
    liked: list[int | str] = [2, 4, 101, 200, 333]
    for row in personal.recommend_for(Request(n=25, explain=True), liked=liked, disliked=[44])[0].rows:
        only = Filters(exclude=tuple(FILMS.keys() - {row["id"]}))
        for cause in (reason for reason in row["why"] if reason["kind"] == "liked"):
            others = [film for film in liked if film != cause["id"]]
            answer, _ = personal.recommend_for(Request(filters=only), liked=others, disliked=[44])
            (without,) = answer.rows
            assert without["score"] < row["score"]


def test_what_is_only_popular_says_no_more(each: Layer) -> None:
    for row in each.recommend("nobody", Request(n=30, explain=True)).rows:
        share = {"share": pytest.approx(row["score"], abs=1e-6)} if name_of(each) != "popular" else {}
        assert row["why"] == [{"kind": "popular"} | share]


# Layers 1 and 2 compute the same thing from the same numbers

NEARLY = 1e-4
TIE = 1e-5
"""Scores nearer than this may stand in either order: sums of floats end a little differently."""


def assert_same(from_database: Answer, from_files: Answer) -> None:
    """That two answers are the same but for their source and the last digits of their scores."""
    reasons = {row["id"]: row.get("why") for row in from_database.rows}
    for mine, its in zip(from_files.rows, from_database.rows, strict=True):
        difference = abs(mine["score"] - its["score"]) / max(1.0, abs(its["score"]))
        assert difference < (NEARLY if mine["id"] == its["id"] else TIE)
        if mine["id"] == its["id"]:
            assert mine.get("score_parts", {}) == pytest.approx(its.get("score_parts", {}), rel=1e-4, abs=1e-4)
        assert_same_reasons(mine.get("why"), reasons.get(mine["id"], mine.get("why")))
    if from_database.rows:
        expected = from_database.source.replace("pgvector", "file_cache")
        assert (from_files.source, from_files.cold_start) == (expected, from_database.cold_start)
    assert from_files.total_results == from_database.total_results
    if from_database.rows or from_database.total_results:
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
            by="best" if rng.random() < 0.5 else "embedding",
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


def test_layer_3_recommends_the_same_too_where_it_has_the_same_factors(layers: Layers) -> None:
    for who in ("nobody", *list(PEOPLE)[::4]):
        request = Request(n=50, explain=True)
        model, database = (layers[name].recommend(who, request) for name in ("svd", "pgvector"))
        assert ids(model) == ids(database)
        assert model.cold_start == database.cold_start
        for mine, its in zip(model.rows, database.rows, strict=True):
            assert_same_reasons(mine["why"], its["why"])


# Why a film is there, or is not


def assert_same_verdict(mine: Verdict, its: Verdict, *, source: Source) -> None:
    numbers = {"score", "needed", "score_parts", "why", "source"}
    one, other = asdict(mine), asdict(its)
    assert {key: one[key] for key in one.keys() - numbers} == {key: other[key] for key in other.keys() - numbers}
    for number in ("score", "needed"):
        assert (one[number] is None) is (other[number] is None)
        assert (one[number] or 0) == pytest.approx(other[number] or 0, rel=1e-4, abs=1e-5)
    assert (one["score_parts"] or {}) == pytest.approx(other["score_parts"] or {}, rel=1e-4, abs=1e-4)
    assert_same_reasons(one["why"], other["why"])
    assert (mine.source, its.source) == (source, "pgvector")


def test_layers_1_and_2_say_the_same_of_any_film(layers: Layers) -> None:
    rng = np.random.default_rng(4)
    filters = [
        NO_FILTERS,
        NO_FILTERS,
        FILTERS["any of"][0],
        FILTERS["all at once"][0],
        Filters(exclude=(3, 44, 45)),
    ]
    for who in ("nobody", "hates", "ahead", "all kinds", "likes two", person(5), "mixed 2"):
        films = rng.choice(sorted(FILMS.keys() - HIDDEN), size=8, replace=False).tolist()
        for film in [*films, 2, 44, NO_VECTOR[0], FIRST_OF_KINDS]:
            request = Request(n=int(rng.choice([1, 10, 500])), filters=filters[int(rng.integers(len(filters)))])
            verdicts = [layers[name].why(who, film, request) for name in BY_VECTOR]
            assert_same_verdict(verdicts[1], verdicts[0], source="file_cache")


def test_a_film_of_the_list_is_recommended_with_its_place_and_score(personal: Layer) -> None:
    for who in ("nobody", "likes two", person(3), "mixed 1"):
        answer = personal.recommend(who, Request(n=10, explain=True))
        for place, row in enumerate(answer.rows, start=1):
            verdict = personal.why(who, row["id"], Request(n=10))
            assert (verdict.status, verdict.id, verdict.title) == ("recommended", row["id"], row["title"])
            assert (verdict.rank, verdict.behind, verdict.acts, verdict.filters) == (place, None, [], [])
            assert verdict.score == pytest.approx(row["score"], rel=1e-5, abs=1e-6)
            assert verdict.needed == pytest.approx(answer.rows[-1]["score"], rel=1e-5, abs=1e-6)
            assert_same_reasons(verdict.why, row["why"])
            assert verdict.model_version == answer.model_version


def test_a_film_further_down_is_outranked_and_it_is_said_by_how_much(personal: Layer) -> None:
    answer = personal.recommend("likes two", Request(n=100))
    last = answer.rows[-1]
    verdict = personal.why("likes two", last["id"], Request(n=10))
    assert (verdict.status, verdict.rank) == ("outranked", 100)
    assert verdict.behind == pytest.approx(answer.rows[9]["score"] - last["score"], rel=1e-4)
    assert personal.why("likes two", last["id"], Request(n=100)).status == "recommended"


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_that_a_person_did_something_with_is_seen(personal: Layer, kind: Kind) -> None:
    verdict = personal.why("all kinds", FIRST_OF_KINDS + KINDS.index(kind), Request())
    if kind == "click":
        assert (verdict.status != "seen", verdict.acts) == (True, [])
    else:
        assert (verdict.status, verdict.acts, verdict.behind) == ("seen", [kind], None)


def test_a_film_that_filters_leave_out_is_filtered_and_they_are_named(personal: Layer) -> None:
    for film in (3, 45, 101, 200, 333):
        filters, _ = FILTERS["all at once"]
        failing = [name for name, alone in filters.one_by_one() if not fits_alone(personal, alone, film)]
        verdict = personal.why("nobody", film, Request(n=500, filters=filters))
        assert (verdict.filters, verdict.status) == (failing, "filtered" if failing else "recommended")
        assert verdict.score is not None


def fits_alone(layer: Layer, filters: Filters, film: int) -> bool:
    """Whether the film is found under these filters."""
    rows, _ = layer.browse(filters, limit=1000, offset=0)
    return film in {row["id"] for row in rows}


def test_a_film_without_a_place_has_no_score(personal: Layer) -> None:
    for who in ("nobody", "likes two"):
        verdict = personal.why(who, UNTOUCHED, Request())
        assert (verdict.status, verdict.score, verdict.rank, verdict.behind) == ("no_embedding", None, None, None)
        assert (verdict.why, verdict.score_parts) == ([], None)
    seen = personal.why("ahead", NO_VECTOR[0], Request(filters=Filters(exclude=(NO_VECTOR[0],))))
    assert (seen.status, seen.acts, seen.filters) == ("seen", ["watchlist"], ["exclude"])


def test_where_only_popular_films_are_left_there_are_no_scores(layers: Layers) -> None:
    verdict = layers["popular"].why("likes two", 44, Request())
    assert (verdict.status, verdict.score, verdict.source) == ("no_embedding", None, "popular")


@pytest.mark.parametrize("ref", [10**6, 0, "tt9999999", ADULT[0]])
def test_of_an_unknown_film_nothing_is_said(each: Layer, ref: int | str) -> None:
    with pytest.raises(MovieNotFoundError):
        each.why("likes two", ref, Request())


def test_an_imdb_id_names_the_same_film_here_too(each: Layer) -> None:
    assert each.why("likes two", "tt0000044", Request()) == each.why("likes two", 44, Request())

"""TMDB's JSON to records: every shape it comes in, and everything that can be wrong with it."""

import datetime as dt
import json
import math
import operator
import random
import string
from dataclasses import asdict, astuple, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from backend.catalog.plain_text import plain_text
from backend.catalog.records import (
    ACTORS_KEPT,
    GENRES,
    MovieRecord,
    UnusableRecordError,
    parse_record,
)
from backend.catalog.store import upsert
from backend.catalog.values import LAST_FILM, LONGEST_LINE, LONGEST_PROSE, MAX_BIGINT, MAX_INTEGER
from backend.models import Movie
from tests.conftest import rolled_back

UNKNOWN = MovieRecord(id=862, title="Toy Story")
"""What there is of a film that comes with an id and a title."""


def parse(**fields: Any) -> MovieRecord:
    """Toy Story with these fields."""
    return parse_record({"id": 862, "title": "Toy Story"} | fields)


# Shapes


def test_the_list_form_has_genres_by_number() -> None:
    film = parse(
        original_title="Toy Story",
        original_language="en",
        overview="Toys live.",
        genre_ids=[16, 35, 10751],
        release_date="1995-10-30",
        popularity=115.9,
        vote_average=7.97,
        vote_count=17152,
        adult=False,
        video=False,
        poster_path="/poster.jpg",
        backdrop_path="/backdrop.jpg",
    )
    assert film.genres == ["Animation", "Comedy", "Family"]
    assert (film.release_date, film.release_year) == (dt.date(1995, 10, 30), 1995)
    assert (film.popularity, film.vote_average, film.vote_count) == (115.9, 7.97, 17152)
    assert (film.poster_path, film.backdrop_path) == ("/poster.jpg", "/backdrop.jpg")


def test_the_detail_form_has_people_keywords_and_a_collection() -> None:
    crew = [
        {"name": "Joss Whedon", "job": "Screenplay"},
        {"name": "John Lasseter", "job": "Director"},
        {"name": "John Lasseter", "job": "Director"},
        "not an object",
    ]
    cast = [{"name": "Tom Hanks"}, {"name": "Tim Allen"}, {"name": None}, {}]
    film = parse(
        imdb_id="tt0114709",
        genres=[{"id": 16, "name": "Animation"}, {"id": 35, "name": "Comedy"}],
        keywords={"keywords": [{"id": 1, "name": "toy"}, {"id": 2, "name": "boy"}]},
        belongs_to_collection={"id": 10194, "name": "Toy Story Collection"},
        credits={"cast": cast, "crew": crew},
        runtime=81,
        budget=30_000_000,
        revenue=394_436_586,
        status="Released",
        tagline="Hang on for the comedy!",
    )
    assert film == MovieRecord(
        id=862,
        title="Toy Story",
        imdb_id="tt0114709",
        genres=["Animation", "Comedy"],
        keywords=["toy", "boy"],
        directors=["John Lasseter"],
        actors=["Tom Hanks", "Tim Allen"],
        collection="Toy Story Collection",
        runtime=81,
        budget=30_000_000,
        revenue=394_436_586,
        status="Released",
        tagline="Hang on for the comedy!",
    )


def test_the_file_form_has_bare_names() -> None:
    film = parse(
        genres=["Animation"],
        keywords=["toy"],
        directors=["John Lasseter"],
        cast=[f"Actor {number}" for number in range(30)],
        collection="Toy Story Collection",
        release_year="1995",
        runtime="81",
        vote_average="7.9",
    )
    assert (film.genres, film.keywords, film.directors) == (["Animation"], ["toy"], ["John Lasseter"])
    assert film.actors == [f"Actor {number}" for number in range(ACTORS_KEPT)]
    assert (film.collection, film.release_year, film.runtime) == ("Toy Story Collection", 1995, 81)
    assert film.vote_average == 7.9


def test_names_beside_numbers_count_first() -> None:
    assert parse(genres=["Western"], genre_ids=[18]).genres == ["Western"]


@pytest.mark.parametrize("number", GENRES)
def test_every_genre_of_tmdb_is_known(number: int) -> None:
    assert parse(genre_ids=[number]).genres == [GENRES[number]]


# What is unknown


@pytest.mark.parametrize("nothing", [None, "", " ", 0, [], {}, False, math.nan])
def test_every_way_to_write_nothing_is_unknown(nothing: Any) -> None:
    fields = (
        *("imdb_id", "original_title", "overview", "tagline", "genres", "genre_ids", "keywords", "directors"),
        *("cast", "credits", "belongs_to_collection", "release_date", "release_year", "runtime", "budget"),
        *("revenue", "popularity", "vote_average", "vote_count", "status", "adult", "poster_path"),
    )
    assert parse(**dict.fromkeys(fields, nothing)) == UNKNOWN


@pytest.mark.parametrize(
    "wrong",
    [
        *("1995-13-01", "1995-02-31", "1995-00-00", "0000-00-00", "0001-01-01", "20205-01-01", "2020-05-011"),
        *("2200-01-01", "9999-12-31", "1869-12-31", "1995-W10-3", "19951030", "1995", "soon", "١٩٩٥-١٠-٣٠"),
        *(19951030, True, ["1995-10-30"], {}),
    ],
)
def test_a_wrong_date_is_no_date(wrong: Any) -> None:
    assert parse(release_date=wrong) == UNKNOWN


def test_a_date_may_have_a_time_behind_it() -> None:
    assert parse(release_date="1995-10-30T00:00:00.000Z").release_date == dt.date(1995, 10, 30)


def test_a_film_may_be_made_for_those_who_come_after_us() -> None:
    assert parse(release_date="2115-11-18").release_year == 2115


@pytest.mark.parametrize("nothing", [None, "", "1995-02-31"])
def test_where_the_date_is_missing_the_first_one_of_a_country_stands_in(nothing: Any) -> None:
    countries = [
        {"iso_3166_1": "DE", "release_dates": [{"release_date": "1996-03-21T00:00:00.000Z", "type": 3}]},
        {"iso_3166_1": "US", "release_dates": [{"release_date": "1995-11-22T00:00:00.000Z"}, {}, None]},
        {"iso_3166_1": "XX", "release_dates": [{"release_date": "0001-01-01T00:00:00.000Z"}]},
        {"iso_3166_1": "YY", "release_dates": None},
        None,
    ]
    film = parse(release_date=nothing, release_dates={"results": countries})
    assert (film.release_date, film.release_year) == (dt.date(1995, 11, 22), 1995)
    assert parse(release_date="1995-10-30", release_dates={"results": countries}).release_year == 1995
    assert parse(release_dates={"results": None}) == UNKNOWN


def test_the_year_of_a_date_counts_before_a_year_alone() -> None:
    assert parse(release_date="1995-10-30", release_year=2000).release_year == 1995


@pytest.mark.parametrize("year", [1869, 2200, 10_000, -1, "nineteen", True])
def test_a_wrong_year_is_no_year(year: Any) -> None:
    assert parse(release_year=year).release_year is None


# Numbers


def test_revenue_may_be_larger_than_an_integer() -> None:
    assert parse(revenue=2_923_706_026, budget=2**31).revenue == 2_923_706_026


@pytest.mark.parametrize("wrong", [2**63, 10**40, -1, 1e300, math.inf, "much", True, [1], {"usd": 1}])
def test_money_that_no_column_holds_is_unknown(wrong: Any) -> None:
    assert parse(revenue=wrong, budget=wrong) == UNKNOWN


@pytest.mark.parametrize(
    "wrong", ["NaN", "Infinity", "-Infinity", math.inf, -math.inf, -1, True, "1e999", 10**400]
)
def test_what_is_no_finite_number_from_zero_up_counts_as_zero(wrong: Any) -> None:
    assert parse(popularity=wrong, vote_average=wrong, vote_count=wrong) == UNKNOWN


@pytest.mark.parametrize("absurd", [1e7, 1e300, 10**300, "1e300"])
def test_a_popularity_that_nothing_ever_had_counts_as_zero(absurd: Any) -> None:
    assert parse(popularity=absurd) == UNKNOWN


def test_numbers_may_come_as_text() -> None:
    film = parse(id="862", popularity="115.9", vote_count="17152", budget="30000000")
    assert (film.id, film.popularity, film.vote_count, film.budget) == (862, 115.9, 17152, 30_000_000)


def test_no_average_is_higher_than_ten() -> None:
    assert parse(vote_average=11).vote_average == 10


# Text


@pytest.mark.parametrize("title", ["千と千尋の神隠し", "Амели", "إبراهيم", "🎬", "'; DROP TABLE movies"])
def test_titles_keep_their_script(title: str) -> None:
    assert parse(title=title).title == title


def test_what_postgres_can_not_store_is_taken_out_of_text() -> None:
    film = parse(title="\0Toy\0 Story\ud83d ", overview="\ud800", genres=["A\0nimation", "\0"])
    assert (film.title, film.overview, film.genres) == ("Toy Story", None, ["Animation"])


def test_names_stand_once() -> None:
    film = parse(
        genres=["Drama", {"name": "Drama"}, " Drama "],
        keywords={"keywords": ["toy", "toy"]},
        directors=["A", "B", "A"],
        cast=["C", "C"],
    )
    assert (film.genres, film.keywords, film.directors, film.actors) == (["Drama"], ["toy"], ["A", "B"], ["C"])
    assert parse(genre_ids=[18, 18, "18", 1.5, None, 999]).genres == ["Drama"]


@pytest.mark.parametrize("wrong", ["0114709", "tt1", "tt01147090000", "nm0114709", "tt٠١٢٣٤٥٦", 114709])
def test_what_is_no_imdb_id_is_unknown(wrong: Any) -> None:
    assert parse(imdb_id=wrong).imdb_id is None


@pytest.mark.parametrize(
    ("flag", "adult"),
    [
        *((True, True), ("True", True), (" true", True), (1, True), ("1", True)),
        *((False, False), ("False", False), ("", False), (0, False), ([True], False), (2, False)),
    ],
)
def test_adult_films_are_flagged_in_any_spelling(flag: Any, adult: bool) -> None:
    assert parse(adult=flag).adult is adult


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("&quot;Rosebud&quot;&hellip;", '"Rosebud"…'),
        ("Am&eacute;lie&#39;s &#x1F3AC;", "Amélie's 🎬"),
        ("<p>One.</p>\n\n<p>Two.</p>", "One.\nTwo."),
        ("One.<br>Two.<BR />Three.", "One.\nTwo.\nThree."),
        ("<i>Toys</i> <b class='x' id=y>live</b>.", "Toys live."),
        ('See <a href="https://example.org/?a=1&amp;b=2" target="_blank">here</a>.', "See here."),
        ("&lt;p&gt;Toys live.&lt;/p&gt;", "Toys live."),
        ("Toys<!-- written <b>in a hurry</b> --> live.", "Toys live."),
        ("Toys live.&nbsp;", "Toys live."),
        ("Toys &#0;&#xD800;live.", "Toys \ufffd\ufffdlive."),
        ("I &lt;3 toys", "I <3 toys"),
    ],
)
def test_html_in_an_overview_becomes_plain_text(written: str, plain: str) -> None:
    assert parse(overview=written, tagline=written) == parse(overview=plain, tagline=plain)
    assert parse(overview=written).overview == plain


@pytest.mark.parametrize(
    "text",
    [
        *(
            "I <3 toys",
            "a < b and c > d",
            "if a<b and c>d",
            "x <b and c> y",
            "< An Interactive Film >",
            "<redacted>",
        ),
        *("<Untitled> & <p", "AT&T", "Q&A; R&B", "&NFi_;", "&copy that", "fish & chips; salt", "<<<", "&#;", "<>"),
    ],
)
def test_what_only_looks_like_html_stays(text: str) -> None:
    assert parse(overview=text).overview == text


@pytest.mark.parametrize("empty", ["<p></p>", "<br>", "&nbsp;", "<!-- -->"])
def test_an_overview_of_nothing_but_html_is_unknown(empty: str) -> None:
    assert parse(overview=empty) == UNKNOWN


@given(st.text("<>&;/#ampltgbi3 =\"'x\n", max_size=40) | st.text())
def test_plain_text_stays_as_it_is(text: str) -> None:
    plain = plain_text(text)
    assert plain_text(plain) == plain
    assert len(plain) <= len(text)


def test_a_title_keeps_what_looks_like_html() -> None:
    assert parse(title="<br> &amp; <3").title == "<br> &amp; <3"


def test_text_that_no_index_holds_is_cut() -> None:
    film = parse(title="T" * 10**6, genres=["G" * 3000], collection="C" * 10**5, overview="o" * 10**6)
    assert (len(film.title), len(film.genres[0]), len(film.collection or "")) == (LONGEST_LINE,) * 3
    assert len(film.overview or "") == LONGEST_PROSE


# Languages


def translated(*overviews: tuple[str, Any], **more: Any) -> MovieRecord:
    """A Japanese film as TMDB gives it where German was asked for, with overviews in these languages."""
    listed = [{"iso_639_1": code, "iso_3166_1": "XX", "data": {"overview": text}} for code, text in overviews]
    film = {"title": "Chihiros Reise", "original_title": "千と千尋の神隠し", "original_language": "ja"}
    return parse(**film | {"translations": {"translations": [None, {}, *listed]}} | more)


def test_the_language_that_was_asked_for_counts_first_and_the_original_is_kept() -> None:
    film = translated(("en", "In English."), ("ja", "日本語"), overview="Auf Deutsch.")
    assert (film.title, film.original_title) == ("Chihiros Reise", "千と千尋の神隠し")
    assert (film.overview, film.original_overview) == ("Auf Deutsch.", "日本語")


@pytest.mark.parametrize("nothing", [None, "", " ", "<br>"])
def test_what_is_not_translated_is_told_in_the_films_own_language(nothing: Any) -> None:
    film = translated(("en", "In English."), ("ja", ""), ("ja", "日本&amp;語"), overview=nothing, title="")
    assert film.title == "千と千尋の神隠し"
    assert (film.overview, film.original_overview) == ("日本&語", "日本&語")


def test_what_is_told_neither_way_is_told_in_english() -> None:
    film = translated(("fr", "En français."), ("en", "In English."), overview="")
    assert (film.overview, film.original_overview) == ("In English.", None)


@pytest.mark.parametrize(
    "wrong", [None, [], "de", {"translations": None}, {"translations": [{"iso_639_1": "ja"}]}]
)
def test_translations_that_say_nothing_change_nothing(wrong: Any) -> None:
    film = translated(overview="Auf Deutsch.", translations=wrong)
    assert (film.overview, film.original_overview) == ("Auf Deutsch.", None)


# What can't become a film


@pytest.mark.parametrize("title", [None, "", "  ", "\0", "\ud800", 5, ["Toy Story"]])
def test_without_a_title_there_is_no_film(title: Any) -> None:
    with pytest.raises(UnusableRecordError, match="title"):
        parse(title=title)


def test_the_original_title_stands_in_for_a_missing_one() -> None:
    assert parse(title="", original_title="Le Jouet").title == "Le Jouet"


@pytest.mark.parametrize(
    "wrong", [None, "", "toy story", 0, -1, 862.5, 2**31, 10**40, math.nan, math.inf, True, [862], {"id": 862}]
)
def test_without_a_tmdb_id_there_is_no_film(wrong: Any) -> None:
    with pytest.raises(UnusableRecordError, match="id"):
        parse(id=wrong)


@pytest.mark.parametrize("raw", [None, [], ["id", "title"], "text", 5, True])
def test_only_an_object_is_a_film(raw: Any) -> None:
    with pytest.raises(UnusableRecordError, match="not a JSON object"):
        parse_record(raw)


# Whatever may come

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
LIMITS = st.sampled_from([0, 10**6, 10**9, 2**31 - 1, 2**31, 2**63 - 1, 2**63, math.nan, math.inf])
NUMBERS = LIMITS | st.integers(-5, 2**65) | st.floats() | st.integers(-5, 2**65).map(str)
FIELDS = (
    *("imdb_id", "original_title", "original_language", "overview", "tagline", "genres", "genre_ids", "keywords"),
    *("directors", "cast", "credits", "belongs_to_collection", "collection", "release_date", "release_year"),
    *("status", "adult", "poster_path", "backdrop_path", "original_overview", "release_dates", "translations"),
)
NUMERIC = ("runtime", "budget", "revenue", "popularity", "vote_average", "vote_count", "release_year")
LINES = ("original_title", "original_language", "imdb_id", "tagline", "collection", "status", "poster_path")


def noise(seed: int) -> str:
    """Three thousand characters that nothing compresses: more than an index takes of a value."""
    return "".join(random.Random(seed).choices(string.ascii_letters + "漢字🎬", k=3000))


TEXTS = (
    st.text() | st.integers(0, 9).map(noise) | st.sampled_from(["\\.", "\\N", "{}", '"', "\0", "\ud800", "\t\n"])
)
DATES = st.dates().map(dt.date.isoformat) | st.from_regex(r"\A[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,2}T?\Z")
NAMES = st.lists(TEXTS | st.fixed_dictionaries({"name": TEXTS | JSON}), max_size=3)
TRANSLATIONS = st.lists(
    st.fixed_dictionaries(
        {"iso_639_1": st.sampled_from(["ja", "en"]), "data": st.fixed_dictionaries({"overview": TEXTS})}
    )
    | JSON
)
WELL_SHAPED: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(NUMERIC, NUMBERS),
    **dict.fromkeys(LINES, TEXTS),
    **dict.fromkeys(("genres", "directors", "cast"), NAMES),
    "overview": TEXTS,
    "original_language": st.just("ja"),
    "release_date": DATES,
    "keywords": st.fixed_dictionaries({"keywords": NAMES | JSON}),
    "credits": st.fixed_dictionaries({"cast": NAMES | JSON, "crew": NAMES | JSON}),
    "translations": st.fixed_dictionaries({"translations": TRANSLATIONS}),
}
FILMS = st.fixed_dictionaries(
    {"id": st.integers(1, MAX_INTEGER) | JSON, "title": TEXTS | JSON},
    optional=dict.fromkeys(FIELDS, JSON) | {name: WELL_SHAPED[name] | JSON for name in WELL_SHAPED},
)

NAMED = st.fixed_dictionaries({"id": st.integers(1, MAX_INTEGER), "title": TEXTS})


@given(JSON | FILMS)
def test_any_json_becomes_a_film_or_is_refused_with_a_reason(raw: Any) -> None:
    film = tried(raw)
    if isinstance(film, str):
        assert film
        return
    assert film.release_year is None or 1870 <= film.release_year <= LAST_FILM
    assert film.overview is None or film.overview == film.overview.strip() != ""
    assert film.overview or not film.original_overview
    assert parse_record(as_json(film)) == film, "what is written down and read again is the same film"


@settings(max_examples=300, deadline=None)
@given(raw=st.builds(operator.or_, FILMS, NAMED))
def test_whatever_becomes_a_film_is_stored_as_it_is(engine: Engine, raw: Any) -> None:
    film = tried(raw)
    if isinstance(film, MovieRecord):
        assert_stored(engine, film)


def test_a_film_that_fills_every_column_to_the_brim_is_stored_as_it_is(engine: Engine) -> None:
    lines = dict.fromkeys(("original_title", "tagline", "collection", "status", "poster_path"), noise(1) * 50)
    lists = {name: [noise(number) for number in range(50)] for name in ("genres", "keywords", "directors", "cast")}
    most = {
        "id": MAX_INTEGER,
        "vote_count": 10**9,
        "vote_average": 10,
        "popularity": 10**6,
        "runtime": MAX_INTEGER,
    }
    money = {"budget": MAX_BIGINT, "revenue": MAX_BIGINT}
    film = parse_record({"title": "🎬" * 9999, "overview": noise(2) * 9} | lines | lists | most | money)
    assert_stored(engine, film)


@pytest.mark.parametrize("name", ["id", "title", "adult", *FIELDS, *NUMERIC])
def test_no_depth_of_nesting_ends_a_run(name: str) -> None:
    """As deep as the quick parser of JSON goes, which is deeper than Python recurses."""
    deep: Any = 0
    for _ in range(1020):
        deep = [deep]
    film = tried({"id": 862, "title": "Toy Story", name: deep})
    assert film == UNKNOWN or "missing" in str(film)


def tried(raw: Any) -> MovieRecord | str:
    """The film, or why there is none."""
    try:
        return parse_record(raw)
    except UnusableRecordError as error:
        return str(error)


def assert_stored(engine: Engine, film: MovieRecord) -> None:
    """PostgreSQL takes it, and gives it back."""
    columns = [getattr(Movie, field.name) for field in fields(MovieRecord)]
    with rolled_back(engine) as session:
        assert upsert(session, [film], source="file").new == 1
        assert find_row(session, film, columns) == astuple(film)
        assert upsert(session, [film], source="file").unchanged == 1


def find_row(session: Session, film: MovieRecord, columns: list[Any]) -> tuple[Any, ...]:
    return tuple(session.execute(select(*columns).where(Movie.id == film.id)).one())


def as_json(film: MovieRecord) -> Any:
    """A film as a line of a file has it."""
    return json.loads(json.dumps(asdict(film) | {"cast": film.actors}, default=str))

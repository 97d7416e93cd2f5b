"""Whatever a file holds, what is read of it can be stored, or it is refused with a word on why, within bounds."""

import csv
import datetime as dt
import io
import json
import struct
from contextlib import suppress
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import FileTooLargeError, UnusableFileError, UsageError
from backend.feedback import files
from backend.feedback.files import Bounds, Limits, open_parts
from backend.feedback.imports import UPLOAD, recognise
from backend.feedback.reading import ImportSummary, Reading
from backend.feedback.records import EARLIEST, NewInteraction
from backend.feedback.weights import KINDS
from tests.feedback.exports import IMDB_RATINGS, LETTERBOXD, RATINGS, TRAKT, packed

Read = tuple[list[NewInteraction], ImportSummary]
REFUSALS = (UnusableFileError, FileTooLargeError, UsageError)


def read(content: bytes, limits: Limits = UPLOAD) -> Read:
    """What a file says, unmerged."""
    reading = Reading("ada", Bounds(limits), "watched")
    with open_parts(content, reading.bounds) as parts:
        service, own = recognise(parts, "the file")
        return list(service.read(own, reading)), reading.summary


def assert_storable(acts: list[NewInteraction]) -> None:
    """That PostgreSQL takes it: no NUL, no half characters, nothing beyond what columns and indexes hold."""
    for act in acts:
        assert act.kind in KINDS
        assert (act.value is not None) == (act.kind == "rating")
        assert act.value is None or 0.5 <= act.value <= 5
        assert EARLIEST <= act.at <= dt.datetime.now(dt.UTC)
        assert act.tmdb_id is None or 1 <= act.tmdb_id < 2**31
        assert act.film.rule < 2 or act.title
        assert "\0" not in (act.title or "")
        assert len((act.title or "").encode()) <= 2000
        assert act.year is None or 1870 <= act.year < 2**15


def try_read(content: bytes) -> None:
    """That it is read, or refused; and that every row of it went somewhere."""
    with suppress(*REFUSALS):
        acts, summary = read(content)
        assert_storable(acts)
        assert summary.read == len(acts) + summary.rejected + summary.left_alone.total()


WORDS = [
    "1995",
    "Toy Story",
    "2024-01-01",
    "4.5",
    "10",
    "tt0114709",
    "",
    "nan",
    "0001-01-01T00:00+14:00",
    '"',
    "\ufffd",
]
CELLS = st.sampled_from(WORDS) | st.text(max_size=10)
HEADERS = st.sampled_from(
    [
        ["Date", "Name", "Year", "Letterboxd URI", "Rating", "Watched Date"],
        ["Date", "Name", "Year", "Letterboxd URI"],
        ["Const", "Your Rating", "Date Rated", "Title", "Title Type", "Year"],
        ["Position", "Const", "Created", "Your Rating", "Date Rated", "Title"],
        ["userId", "movieId", "rating", "timestamp"],
    ]
)
KEYS = st.sampled_from(
    [
        *("movie", "show", "episode", "ids", "tmdb", "imdb", "title", "year", "rating"),
        *("rated_at", "watched_at", "last_watched_at", "listed_at"),
    ]
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | CELLS
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))
FILM_ROWS = st.fixed_dictionaries(
    {"movie": st.fixed_dictionaries({"ids": JSON, "title": VALUES, "year": VALUES}) | JSON},
    optional=dict.fromkeys(("rating", "rated_at", "watched_at", "listed_at"), VALUES),
)


def as_csv(rows: list[list[str]], *, lineterminator: str = "\r\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=lineterminator).writerows(rows)
    return text.getvalue().encode(errors="surrogatepass")


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"PK\x03\x04" + rest))
def test_any_bytes(content: bytes) -> None:
    try_read(content)


@given(HEADERS, st.lists(st.lists(CELLS, min_size=3, max_size=7), max_size=5))
def test_any_cells_below_a_header(header: list[str], rows: list[list[str]]) -> None:
    try_read(as_csv([header, *rows]))


@given(HEADERS, st.binary(max_size=200))
def test_any_bytes_below_a_header(header: list[str], content: bytes) -> None:
    try_read(as_csv([header]) + content)


@given(st.lists(FILM_ROWS | JSON, max_size=4))
def test_any_json(rows: list[Any]) -> None:
    try_read(json.dumps([{"movie": {}}, *rows]).encode())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([packed(LETTERBOXD), packed(TRAKT)]), st.data())
def test_a_zip_that_lies(content: bytes, data: st.DataObject) -> None:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        # Most of what a ZIP says of itself stands at its end.
        back = data.draw(st.integers(1, 1500) | st.integers(1, len(changed)))
        changed[-back] = data.draw(st.integers(0, 255))
    try_read(bytes(changed[: data.draw(st.integers(0, len(changed)) | st.just(len(changed)))]))


# What is written is read back whole

TITLES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"], exclude_characters="\ufffd"),
    min_size=1,
    max_size=30,
)
DAYS = st.dates(dt.date(1900, 1, 2), dt.date(2025, 12, 31))
YEARS = st.integers(1870, 2149)
HALVES = st.integers(1, 10)


@given(st.lists(st.tuples(DAYS, TITLES, YEARS, HALVES)), st.sampled_from(["\n", "\r\n"]))
def test_letterboxd_ratings_come_back_whole(rated: list[tuple[dt.date, str, int, int]], end: str) -> None:
    rows = [
        [day.isoformat(), title, str(year), "https://boxd.it/x", f"{half / 2:g}"]
        for day, title, year, half in rated
    ]
    acts, summary = read(as_csv([["Date", "Name", "Year", "Letterboxd URI", "Rating"], *rows], lineterminator=end))
    assert [(act.at.date(), act.title, act.year, act.value) for act in acts] == [
        (day, title, year, half / 2) for day, title, year, half in rated
    ]
    assert summary.read == len(rated)


@given(st.lists(st.tuples(DAYS, st.integers(0, 10**8), TITLES, HALVES)))
def test_imdb_ratings_come_back_whole(rated: list[tuple[dt.date, int, str, int]]) -> None:
    rows = [[f"tt{number:07}", str(half), day.isoformat(), title] for day, number, title, half in rated]
    acts, _ = read(as_csv([["Const", "Your Rating", "Date Rated", "Title"], *rows]))
    assert [(act.at.date(), act.imdb_id, act.title, act.value) for act in acts] == [
        (day, f"tt{number:07}", title, half / 2) for day, number, title, half in rated
    ]


@given(st.lists(st.tuples(DAYS, st.integers(1, 2**31 - 1), TITLES, HALVES), min_size=1))
def test_trakt_ratings_come_back_whole(rated: list[tuple[dt.date, int, str, int]]) -> None:
    rows = [
        {"rated_at": f"{day}T12:00:00.000Z", "rating": half, "movie": {"title": title, "ids": {"tmdb": number}}}
        for day, number, title, half in rated
    ]
    acts, _ = read(packed({"ratings-movies.json": rows}))
    assert [(act.at.date(), act.tmdb_id, act.title, act.value) for act in acts] == [
        (day, number, title, half / 2) for day, number, title, half in rated
    ]


def test_a_quote_that_does_not_end_is_told_and_the_rest_is_read() -> None:
    lost = '2024-01-01,"Toy Story,1995,x,4\n' + "2024-01-01,Filler,1995,x,4\n" * 6000
    acts, summary = read((RATINGS + lost).encode())
    assert [act.title for act in acts[:2]] == ["Toy Story", "The Matrix"]
    assert "the file, line 5: a quote that does not end" in summary.reasons


# Limits

MANY = Limits(rows=10, unpacked=10_000, members=5, seconds=30)
FILLER = RATINGS.splitlines()[1] + "\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ((RATINGS + FILLER * 8).encode(), "At most 10 rows"),
        ((RATINGS + "\n" * 10_000).encode(), "the file has more than 10,000 bytes"),
        (packed({"ratings.csv": RATINGS + "\n" * 10_000}), "ratings.csv has more than 10,000 bytes unpacked"),
        (
            packed({"ratings-movies.json": '[{"movie": {}}' + " " * 10_000 + "]"}),
            "ratings-movies.json has more than",
        ),
        (packed({f"{number}.txt": "" for number in range(6)}), "at most 5 files; this has 6"),
    ],
)
def test_more_than_is_read_of_a_file_is_refused_with_the_limit(content: bytes, told: str) -> None:
    with pytest.raises(FileTooLargeError, match=told):
        read(content, MANY)


def test_so_is_what_takes_too_long() -> None:
    with pytest.raises(FileTooLargeError, match="at most 0 seconds"):
        read(packed(LETTERBOXD), Limits(seconds=0))


def test_json_is_never_read_beyond_what_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "JSON_BYTES", 1000)
    with pytest.raises(FileTooLargeError, match="the file has more than 1,000 bytes"):
        read(b'[{"movie": {}}' + b" " * 1000 + b"]", Limits())


def test_a_zip_in_a_zip_is_refused() -> None:
    inner = packed(LETTERBOXD)
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("inner.zip", inner)
        archive.writestr("ratings.csv", RATINGS)
    with pytest.raises(UnusableFileError, match=r"another ZIP in it, inner\.zip"):
        read(content.getvalue())


def test_what_a_zip_says_of_its_sizes_is_not_believed() -> None:
    large = packed({"ratings.csv": RATINGS + "\n" * 10_000})
    # The unpacked size in the list at the end, of 46 bytes a file before its name.
    entry = large.rindex(b"PK\x01\x02")
    told = bytearray(large)
    told[entry + 24 : entry + 28] = struct.pack("<I", 2**31 - 1)
    with pytest.raises(FileTooLargeError, match="more than 10,000 bytes"):
        read(bytes(told), MANY)
    told[entry + 24 : entry + 28] = struct.pack("<I", 200)
    with pytest.raises(UnusableFileError, match=r"ratings\.csv is damaged"):
        read(bytes(told), MANY)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2])
def test_zips_are_unpacked_the_ways_that_exports_are_packed(method: int) -> None:
    content = io.BytesIO()
    with ZipFile(content, "w", method) as archive:
        archive.writestr("ratings.csv", RATINGS)
    if method == ZIP_BZIP2:
        with pytest.raises(UnusableFileError, match="packed in a way unknown here"):
            read(content.getvalue())
    else:
        assert len(read(content.getvalue())[0]) == 2


def test_what_a_mac_adds_to_a_zip_is_no_part_of_it() -> None:
    acts, summary = read(
        packed({"ratings.csv": IMDB_RATINGS, "__MACOSX/._ratings.csv": RATINGS, "._x.csv": RATINGS})
    )
    assert {act.imdb_id for act in acts} == {"tt0114709", "tt0133093", "tt9999993"}
    assert summary.rejected == 2

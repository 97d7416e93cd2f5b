"""Whatever bytes a file has: what can be read of it is right, and the rest is refused in order."""

import gzip
import io
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.catalog.export import _films
from backend.catalog.records import MOST_POPULAR, UnusableRecordError, parse_record
from backend.catalog.sources import read_json_lines
from backend.errors import LayerUnavailableError, UsageError
from backend.feedback.imports import ImportSummary, read_movielens
from backend.feedback.records import EARLIEST
from backend.ml.taste_pack import FILE, learn_pack, read_pack, write_pack
from tests.ml.test_taste_pack import crowd, described, no_embeddings

UNHURRIED = settings(deadline=None, max_examples=60)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner), max_leaves=8
)
FILMS = st.fixed_dictionaries({}, optional={"id": JSON, "adult": JSON, "popularity": JSON, "original_title": JSON})
LINES = st.lists(st.binary(max_size=60) | (JSON | FILMS).map(lambda value: json.dumps(value).encode()), max_size=8)
FILES = LINES.map(b"\n".join)
FIELDS = st.text(max_size=12) | st.sampled_from(
    [
        "1",
        "2",
        "862",
        "0.5",
        "5",
        "nan",
        "inf",
        "-1",
        "1e400",
        "964982703",
        "9" * 5000,
        '"',
        "1.5e0",
        "tt0114709",
        "",
    ]
)
ROWS = st.lists(st.lists(FIELDS, max_size=5).map(",".join) | st.text(max_size=30), max_size=8).map("\n".join)
HEADERS = {
    "ratings": "userId,movieId,rating,timestamp",
    "links": "movieId,imdbId,tmdbId",
    "movies": "movieId,title,genres",
}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each example writes its own over the last one's."""
    return tmp_path_factory.mktemp("files")


@given(FILES)
@UNHURRIED
def test_every_line_of_a_file_is_a_film_or_is_refused(folder: Path, content: bytes) -> None:
    for path in (write(folder / "films.jsonl", content), write(folder / "films.jsonl.gz", gzip.compress(content))):
        numbers = []
        for number, line in read_json_lines(path):
            numbers.append(number)
            refused_or_whole(line)
        assert numbers == sorted(set(numbers))
        assert len(numbers) == sum(bool(line.strip()) for line in io.BytesIO(content))


def refused_or_whole(line: Any) -> None:
    try:
        record = parse_record(line)
    except UnusableRecordError:
        return
    assert record.id > 0
    assert record.title.strip()


@given(FILES, st.data())
@UNHURRIED
def test_a_packed_file_that_is_damaged_is_refused(folder: Path, content: bytes, data: st.DataObject) -> None:
    packed = damaged(gzip.compress(content), data)
    path = write(folder / "damaged.jsonl.gz", packed)
    # Where the damage is in what the packing says of itself only, nothing is lost.
    with suppress(UsageError):
        assert len(list(read_json_lines(path))) <= content.count(b"\n") + 1


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Cut somewhere, or with another byte somewhere."""
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        return content[:place]
    return content[:place] + data.draw(st.binary(min_size=1, max_size=1)) + content[place + 1 :]


@given(LINES)
@UNHURRIED
def test_every_line_of_the_daily_export_is_a_film_or_nothing(lines: list[bytes]) -> None:
    for film, popularity in _films(lines, include_adult=True):
        assert film > 0
        assert 0 <= popularity <= MOST_POPULAR
        assert math.isfinite(popularity)


@given(ROWS, ROWS, ROWS)
@UNHURRIED
def test_every_row_of_ratings_is_usable_or_counted(folder: Path, ratings: str, links: str, movies: str) -> None:
    for name, rows in (("ratings", ratings), ("links", links), ("movies", movies)):
        write(
            folder / "ml" / f"{name}.csv",
            f"{HEADERS[name]}\n1,0114709,862\n{rows}".encode("utf-8", "surrogatepass"),
        )
    summary = ImportSummary()
    usable = list(read_movielens(folder / "ml", summary))
    assert summary.read == len(usable) + summary.rejected
    for one in usable:
        assert one.value is not None
        assert 0.5 <= one.value <= 5
        assert one.at >= EARLIEST
        assert "\0" not in f"{one.user_id}{one.title}{one.imdb_id}"


@given(st.binary(max_size=200))
@UNHURRIED
def test_a_folder_that_is_not_movielens_is_refused_by_name(folder: Path, content: bytes) -> None:
    write(folder / "other" / "ratings.csv", content)
    write(folder / "other" / "links.csv", content)
    with pytest.raises(UsageError, match=r"ratings\.csv|links\.csv"):
        list(read_movielens(folder / "other", ImportSummary()))


@pytest.fixture(scope="module")
def pack(folder: Path) -> bytes:
    """A small one."""
    ids = np.arange(1, 13, dtype=np.int32)
    pack = learn_pack(ids, crowd(12, 12), films=described(ids), embeddings=no_embeddings(12))
    write_pack(pack, folder / "whole", terms="")
    return (folder / "whole" / FILE).read_bytes()


@given(st.data())
@UNHURRIED
def test_a_taste_pack_is_read_whole_or_not_at_all(folder: Path, pack: bytes, data: st.DataObject) -> None:
    written = data.draw(st.just(damaged(pack, data)) | st.binary(max_size=100))
    write(folder / "damaged" / FILE, written)
    try:
        read = read_pack(folder / "damaged")
    except LayerUnavailableError:
        return
    assert read.opinions.shape[1] == len(read.film_ids)

"""Loading: whatever a file holds, its good lines arrive, its bad ones are counted and named."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from backend.catalog.pipeline import BATCH, load, load_starter_if_empty
from backend.catalog.sources import read_json_lines, read_starter
from backend.catalog.store import Upserted
from backend.catalog.summary import FAILURES_NAMED
from backend.errors import UsageError

LINES = [
    json.dumps({"id": 1, "title": "First"}),
    "{not json",
    '["an", "array"]',
    json.dumps({"title": "No id"}),
    json.dumps({"id": 3}),
    json.dumps({"id": "three", "title": "Id in words"}),
    "",
    "[" * 100_000,
    '{"id": 4, "title": "Half a line',
    "\x00\xff",
    json.dumps({"id": 5, "title": "Huge", "overview": "x" * 1_000_000}),
    '{"id": 6, "title": "Half a pair: \\ud83d", "popularity": NaN}',
    json.dumps({"id": 7, "title": "Números: 千"}),
]
BROKEN = {
    2: "not a JSON object",
    3: "not a JSON object",
    4: "id is missing",
    5: "title is missing",
    6: "id is missing",
    8: "not a JSON object",
    9: "not a JSON object",
    10: "not a JSON object",
}
GOOD = {1: "First", 5: "Huge", 6: "Half a pair:", 7: "Números: 千"}


def write(path: Path, lines: list[str]) -> Path:
    """The lines as a file, packed where its name says so."""
    content = "\n".join(lines).encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def titles(engine: Engine) -> dict[int, str]:
    """What is in the catalogue."""
    with engine.connect() as connection:
        return dict(connection.execute(text("SELECT id, title FROM movies")).all())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["films.jsonl", "films.jsonl.gz"])
def test_broken_lines_are_counted_and_named_and_the_others_loaded(
    own_engine: Engine, tmp_path: Path, name: str
) -> None:
    file = write(tmp_path / name, LINES)
    summary = load(read_json_lines(file), source="file")
    assert titles(own_engine) == GOOD
    assert summary.upserted == Upserted(new=4)
    assert summary.failed == len(BROKEN)
    for reason, (number, said) in zip(summary.reasons, BROKEN.items(), strict=True):
        assert reason.startswith(f"line {number}: {said}")
    assert str(summary) == "4 new, 0 changed, 0 unchanged, 8 rejected"
    assert load(read_json_lines(file), source="file").upserted == Upserted(unchanged=4)


def test_a_byte_order_mark_and_foreign_line_ends_do_no_harm(own_engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "films.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"id": 1, "title": "First"}\r\n\r\n{"id": 2, "title": "Second"}\r\n')
    load(read_json_lines(file), source="file")
    assert titles(own_engine) == {1: "First", 2: "Second"}


def test_of_many_broken_lines_the_first_are_named(own_engine: Engine) -> None:
    summary = load(((number, None) for number in range(1, 101)), source="file")
    assert summary.failed == 100
    assert len(summary.reasons) == FAILURES_NAMED
    assert summary.upserted == Upserted()


def test_every_batch_is_kept_as_soon_as_it_is_written(own_engine: Engine) -> None:
    def interrupted() -> Any:
        yield from ((number, {"id": number, "title": "A film"}) for number in range(1, BATCH + 2))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(interrupted(), source="file")
    assert len(titles(own_engine)) == BATCH


def test_a_damaged_archive_is_said_and_what_came_before_the_damage_may_stay(
    own_engine: Engine, tmp_path: Path
) -> None:
    file = write(tmp_path / "films.jsonl.gz", LINES)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UsageError, match="damaged"):
        load(read_json_lines(file), source="file")


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x1f\x8b\x08\x00garbage that is no deflate stream"])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "films.jsonl.gz"
    file.write_bytes(content)
    if content:
        with pytest.raises(UsageError, match="damaged"):
            list(read_json_lines(file))
    else:
        assert list(read_json_lines(file)) == []


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.jsonl.gz"])
def test_a_missing_file_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        list(read_json_lines(tmp_path / name))


@pytest.mark.parametrize("name", ["folder", "folder.gz"])
def test_a_folder_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="can't be read"):
        list(read_json_lines(tmp_path / name))


def test_the_starter_is_loaded_into_an_empty_catalogue_only(own_engine: Engine) -> None:
    summary = load_starter_if_empty()
    assert summary is not None
    assert (summary.upserted, summary.failed) == (Upserted(new=5000), 0)
    assert load_starter_if_empty() is None
    with own_engine.begin() as connection:
        connection.execute(text("DELETE FROM movies WHERE id <> 862"))
    assert load_starter_if_empty() is None
    assert titles(own_engine) == {862: "Toy Story"}


def test_the_starter_holds_facts_of_every_film() -> None:
    films = [raw for _, raw in read_starter()]
    assert len({raw["id"] for raw in films}) == 5000
    assert all(raw["title"] and raw["release_date"] for raw in films)

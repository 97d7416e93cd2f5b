"""The bundled films: facts of all, and for the best-known words of our own."""

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from backend.catalog.records import MovieRecord, parse_record
from backend.catalog.sources import FACTS, PROSE, read_prose, read_starter
from tests.test_real_data import FOLDER

SEQUENCE = 6
"""This many words in a row are a phrase, and a phrase belongs to whoever wrote it."""
HEADINGS = re.findall(r"^(\d+) (.+) \((\d{4})\)$", PROSE.read_text("utf-8"), re.MULTILINE)


def starter() -> dict[int, MovieRecord]:
    return {film.id: film for film in (parse_record(raw) for _, raw in read_starter())}


def phrases(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'"))
    return set(zip(*(words[n:] for n in range(SEQUENCE)), strict=False))


def test_every_film_that_is_to_have_words_has_them() -> None:
    with FACTS.open(encoding="utf-8", newline="") as file:
        wanted = {int(row["id"]) for row in csv.DictReader(file) if row["prose"] == "1"}
    assert len(wanted) == 320
    assert set(read_prose()) == wanted
    assert len(HEADINGS) == 320


def test_the_words_stand_under_the_film_they_are_about() -> None:
    films = starter()
    for number, title, year in HEADINGS:
        assert (films[int(number)].title, films[int(number)].release_year) == (title, int(year))


def test_overviews_and_keywords_reach_the_film() -> None:
    films = starter()
    assert len(films) == 5000
    described = [film for film in films.values() if film.overview]
    assert len(described) == 320
    for film in described:
        assert 35 <= len((film.overview or "").split()) <= 70, film.title
        assert 1 <= len(film.keywords) <= 8, film.title
        assert all(word == word.lower().strip() and word for word in film.keywords), film.title


def test_no_two_overviews_share_a_phrase() -> None:
    found = Counter(phrase for prose in read_prose().values() for phrase in phrases(prose["overview"]))
    assert [phrase for phrase, times in found.items() if times > 1] == []


@pytest.mark.data
def test_no_phrase_is_anyone_elses() -> None:
    ours = set[tuple[str, ...]]().union(*(phrases(prose["overview"]) for prose in read_prose().values()))
    assert [phrase for text in overviews() for phrase in phrases(text) & ours] == []


def overviews() -> Iterator[str]:
    """All of the real data's."""
    with gzip.open(FOLDER / "movies.jsonl.gz") as file:
        for line in file:
            yield json.loads(line).get("overview") or ""

"""Taste from elsewhere, the shipped pack or a corpus: its people never become users, and damage is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from backend.catalog.records import MovieRecord, parse_record
from backend.catalog.sources import read_starter
from backend.catalog.store import save_embeddings, upsert
from backend.config import PACKAGED_MODEL, Settings
from backend.errors import JobSkippedError, LayerUnavailableError, UsageError
from backend.feedback.records import NewInteraction
from backend.feedback.store import record
from backend.feedback.weights import RATING_EVIDENCE
from backend.ml.answer import Request
from backend.ml.artefact import MANIFEST, open_current
from backend.ml.corpus import OWN_TERMS, PACKS, adopt_corpus, corpus_folder, find_pack, say_which
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.taste_pack import FILE, LICENCE, MOVIELENS_TERMS, PSEUDO_PEOPLE, read_pack
from backend.ml.training import train
from backend.models import EMBEDDING_DIMENSION
from tests.ml.test_training import NOW

FILMS, PEOPLE = 20, 40
SHIPPED = "movielens-small"
BY_IMDB, TWICE = 3, 5
"""A film that the corpus knows by its IMDb id alone, and one that has two numbers there."""

Rating = tuple[int, int, float]


def settings_of(folder: Path, *, pack: str = "none") -> Settings:
    """With data in this folder."""
    return Settings(_env_file=None, data_dir=folder / "data", taste_pack=pack)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Without the shipped pack."""
    return settings_of(tmp_path)


@pytest.fixture
def films(emptied_engine: Engine) -> Engine:
    """A catalogue without feedback, which says nothing about who likes what."""
    units = np.random.default_rng(5).normal(scale=1e-3, size=(FILMS, EMBEDDING_DIMENSION))
    units[:, 0] += 1
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    numbers = list(range(1, FILMS + 1))
    with Session(emptied_engine) as session, session.begin():
        records = [MovieRecord(id=number, title=f"Film {number}", imdb_id=f"tt{number:07}") for number in numbers]
        upsert(session, records, source="file")
        save_embeddings(session, numbers, units.astype(np.float32), model=PACKAGED_MODEL)
    return emptied_engine


def checkerboard() -> list[Rating]:
    """Even people rate even films high, odd people odd ones, each but for one; MovieLens' numbers are 100 more."""
    return [
        (person, 100 + film, 5.0)
        for person in range(1, PEOPLE + 1)
        for film in range(1, FILMS + 1)
        if film % 2 == person % 2 and film != person % FILMS
    ]


def write_corpus(folder: Path, ratings: list[Rating], *, offset: int = 0) -> Path:
    """A MovieLens folder; film 5 has a second number, 205."""
    folder.mkdir()
    links = [(100 + film, f"{film:07}", "" if film == BY_IMDB else film + offset) for film in range(1, FILMS + 1)]
    links.append((200 + TWICE, f"{TWICE:07}", TWICE + offset))
    lines = ["movieId,imdbId,tmdbId", *(",".join(map(str, link)) for link in links)]
    (folder / "links.csv").write_text("\n".join(lines) + "\n")
    lines = [
        "userId,movieId,rating,timestamp",
        *(",".join(map(str, rating)) + ",1000000000" for rating in ratings),
    ]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    return folder


def kept(settings: Settings) -> Path:
    """The folder of the pack that was learned here."""
    return open_current(corpus_folder(settings)).folder


def recommended(engine: Engine, person: str, n: int = 3) -> list[int]:
    """By the database."""
    with Session(engine) as session:
        return [row["id"] for row in PgvectorRecommender(session).recommend(person, Request(n=n)).rows]


def people_held(engine: Engine) -> int:
    """Users, and what is held about them."""
    statement = """
        SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM interactions)
             + (SELECT count(*) FROM pending_interactions) + (SELECT count(*) FROM people_changes)
    """
    with engine.connect() as connection:
        return int(connection.scalar(text(statement)) or 0)


def like(engine: Engine, person: str, *films: int) -> None:
    """Have someone like films."""
    with Session(engine) as session, session.begin():
        record(session, [NewInteraction(person, "like", None, NOW, film, None, None, None) for film in films])


# A corpus


def test_a_corpus_teaches_a_first_person_and_none_of_its_people_becomes_a_user(
    films: Engine, settings: Settings, tmp_path: Path
) -> None:
    movielens = write_corpus(tmp_path / "ml", checkerboard())
    assert adopt_corpus(settings, movielens) == len(checkerboard())
    assert people_held(films) == 0
    assert train(settings)["crowds"] == 1
    assert people_held(films) == 0
    like(films, "first", 2, 4)
    assert {film % 2 for film in recommended(films, "first", n=8)} == {0}


def test_every_later_training_learns_from_it_without_being_told(
    films: Engine, settings: Settings, tmp_path: Path
) -> None:
    movielens = write_corpus(tmp_path / "ml", checkerboard())
    adopt_corpus(settings, movielens)
    shutil.rmtree(movielens)
    like(films, "first", 1, 3)
    for _ in range(2):
        assert train(settings) == {"films": FILMS, "people": 1, "opinions": 2, "crowds": 1}
        assert {film % 2 for film in recommended(films, "first", n=7)} == {1}


def test_what_is_kept_of_a_corpus_names_nobody_and_says_its_terms(
    films: Engine, settings: Settings, tmp_path: Path
) -> None:
    adopt_corpus(settings, write_corpus(tmp_path / "ml", checkerboard()))
    assert {path.name for path in kept(settings).iterdir()} == {FILE, LICENCE, MANIFEST}
    assert (kept(settings) / LICENCE).read_text("utf-8") == OWN_TERMS
    pack = read_pack(kept(settings))
    assert (pack.people, pack.opinions.shape) == (PEOPLE, (FILMS, FILMS))
    assert list(settings.data_dir.iterdir()) == [corpus_folder(settings)]


def test_a_corpus_takes_the_place_of_the_shipped_pack_and_of_an_earlier_corpus(
    films: Engine, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, pack=SHIPPED)
    for people in (PEOPLE, PEOPLE // 2):
        ratings = [rating for rating in checkerboard() if rating[0] <= people]
        adopt_corpus(settings, write_corpus(tmp_path / f"ml{people}", ratings))
        pack = find_pack(settings)
        assert pack is not None
        assert pack.people == people


def test_films_are_found_by_either_id_and_count_once_a_person(
    films: Engine, settings: Settings, tmp_path: Path
) -> None:
    """Of two numbers of one film, what stands last in the file counts."""
    people = range(1, 5)
    ratings = [(person, 100 + film, 4.0) for person in people for film in (1, 2, BY_IMDB)]
    ratings += [(person, number, stars) for person in people for number, stars in ((205, 1.0), (105, 5.0))]
    movielens = write_corpus(tmp_path / "ml", sorted(ratings, key=lambda rating: rating[0]))
    assert adopt_corpus(settings, movielens) == len(people) * 4
    pack = read_pack(kept(settings))
    assert pack.film_ids.tolist() == [1, 2, BY_IMDB, TWICE]
    assert pack.support.tolist() == [len(people)] * 4
    expected = [RATING_EVIDENCE[4]] * 3 + [RATING_EVIDENCE[5]]
    np.testing.assert_allclose(pack.popularity, np.array(expected) * len(people), rtol=1e-6)


def test_a_corpus_that_rates_no_film_of_the_catalogue_changes_nothing(
    films: Engine, settings: Settings, tmp_path: Path
) -> None:
    adopt_corpus(settings, write_corpus(tmp_path / "ml", checkerboard()))
    before = (kept(settings) / FILE).read_bytes()
    unknown = [(person, number, 5.0) for person, number, _ in checkerboard() if number != 100 + BY_IMDB]
    movielens = write_corpus(tmp_path / "other", unknown, offset=10_000)
    with pytest.raises(JobSkippedError, match="rates no film of the catalogue"):
        adopt_corpus(settings, movielens)
    assert (kept(settings) / FILE).read_bytes() == before


def test_a_corpus_in_which_no_two_people_rated_the_same_teaches_nothing(
    films: Engine, settings: Settings, tmp_path: Path
) -> None:
    movielens = write_corpus(tmp_path / "ml", [(film, 100 + film, 5.0) for film in range(1, FILMS + 1)])
    with pytest.raises(JobSkippedError, match="none that two people rated"):
        adopt_corpus(settings, movielens)
    assert not corpus_folder(settings).exists()


def test_a_folder_without_ratings_is_wrong_usage(films: Engine, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*links\.csv"):
        adopt_corpus(settings, tmp_path)
    movielens = write_corpus(tmp_path / "ml", [])
    with pytest.raises(JobSkippedError):
        adopt_corpus(settings, movielens)
    (movielens / "ratings.csv").write_text("something,else\n")
    with pytest.raises(UsageError, match="not MovieLens'"):
        adopt_corpus(settings, movielens)
    assert not corpus_folder(settings).exists()


def test_without_a_film_a_corpus_has_nothing_to_say(
    emptied_engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    movielens = write_corpus(tmp_path / "ml", checkerboard())
    with pytest.raises(JobSkippedError):
        adopt_corpus(settings, movielens)


def test_a_corpus_that_can_not_be_written_leaves_the_earlier_one(
    films: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movielens = write_corpus(tmp_path / "ml", checkerboard())

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def fail() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(np, "savez_compressed", no_space)
            with pytest.raises(OSError, match="No space left"):
                adopt_corpus(settings, movielens)

    fail()
    assert find_pack(settings) is None
    adopt_corpus(settings, movielens)
    before = kept(settings)
    fail()
    assert kept(settings) == before
    assert [path for path in corpus_folder(settings).iterdir() if path.is_dir()] == [before]


# Which one


def test_taste_pack_chooses(tmp_path: Path) -> None:
    assert find_pack(settings_of(tmp_path, pack="none")) is None
    shipped = find_pack(settings_of(tmp_path, pack=SHIPPED))
    assert shipped is not None
    assert shipped.people > 600


@pytest.mark.parametrize("damage", [None, b"", b"not a pack"])
def test_a_damaged_pack_is_one_clear_error(
    films: Engine, settings: Settings, tmp_path: Path, damage: bytes | None
) -> None:
    adopt_corpus(settings, write_corpus(tmp_path / "ml", checkerboard()))
    file = kept(settings) / FILE
    file.unlink() if damage is None else file.write_bytes(damage)
    with pytest.raises(LayerUnavailableError, match=str(file)):
        train(settings)


def test_one_line_says_which_and_for_whom_it_is_not(films: Engine, tmp_path: Path) -> None:
    def said(settings: Settings) -> list[dict[str, object]]:
        with capture_logs() as lines:
            say_which(settings)
        return [dict(line) for line in lines]

    assert said(settings_of(tmp_path, pack="none")) == []
    (line,) = said(settings_of(tmp_path, pack=SHIPPED))
    assert line["pack"] == SHIPPED
    assert "MovieLens" in str(line["note"])
    assert "not for commercial use" in str(line["note"])
    assert "TASTE_PACK=none" in str(line["note"])
    adopt_corpus(settings_of(tmp_path), write_corpus(tmp_path / "ml", checkerboard()))
    for pack in ("none", SHIPPED):
        (line,) = said(settings_of(tmp_path, pack=pack))
        assert line["folder"] == str(corpus_folder(settings_of(tmp_path)))


# What is shipped


def test_the_shipped_pack_stands_beside_the_terms_it_is_under() -> None:
    folder = PACKS / SHIPPED
    assert {path.name for path in folder.iterdir()} == {FILE, LICENCE}
    terms = (folder / LICENCE).read_text("utf-8")
    assert terms == MOVIELENS_TERMS
    for part in ("MovieLens", "non", "commercial", "same\n  license conditions", "TASTE_PACK=none"):
        assert part in terms


def test_the_shipped_pack_is_small_and_holds_nobodys_ratings() -> None:
    assert sum(path.stat().st_size for path in (PACKS / SHIPPED).iterdir()) < 5_000_000
    pack = read_pack(PACKS / SHIPPED)
    # Directions in which people differ, no two alike, in place of more than six hundred people.
    assert len(pack.opinions) == PSEUDO_PEOPLE < pack.people
    products = pack.opinions @ pack.opinions.T
    lengths = np.sqrt(np.diag(products))
    cosines = np.abs(products / np.outer(lengths, lengths)) - np.eye(PSEUDO_PEOPLE)
    assert cosines.max() < 0.01
    with np.load(PACKS / SHIPPED / FILE) as arrays:
        rows_of_people = [name for name in arrays if pack.people in arrays[name].shape]
    assert rows_of_people == []


FIRST, EMPIRE, JEDI = 11, 1891, 1892


@pytest.fixture
def installation(emptied_engine: Engine, tmp_path: Path) -> Engine:
    """As it is on the first day, of the best-known films of the starter catalogue, before one is embedded."""
    best = sorted((parse_record(raw) for _, raw in read_starter()), key=lambda film: -film.vote_count)[:1_000]
    with Session(emptied_engine) as session, session.begin():
        upsert(session, best, source="starter")
    train(settings_of(tmp_path, pack=SHIPPED))
    return emptied_engine


def test_on_the_first_day_two_star_wars_films_bring_their_kind(installation: Engine) -> None:
    """Whoever likes two hears of the third first, and of science fiction more than anyone does."""
    like(installation, "first", FIRST, EMPIRE)
    with Session(installation) as session:
        recommender = PgvectorRecommender(session)
        own = recommender.recommend("first", Request(n=20)).rows
        anyones = recommender.recommend("whoever", Request(n=20)).rows
    found = [row["id"] for row in own]
    assert found[0] == JEDI

    def share(rows: list[dict[str, object]], *genres: str) -> int:
        return sum(bool(set(genres) & set(row["genres"])) for row in rows)  # type: ignore[call-overload]

    assert share(own, "Science Fiction", "Adventure") > 2 * share(own, "Romance")
    assert share(own, "Science Fiction", "Adventure") > share(anyones, "Science Fiction", "Adventure")

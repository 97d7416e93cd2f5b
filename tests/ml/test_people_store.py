"""People in a file: read while it is written, usable after any end, and forgotten to the last byte."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from backend.errors import LayerUnavailableError
from backend.feedback.weights import KINDS
from backend.ml.people_store import ACT, KIND_NUMBER, Acts, PeopleFile, Person

ROOT = Path(__file__).parents[2]

DIES = """
import sys, time
from pathlib import Path
import numpy as np
from backend.ml import people_store
from backend.ml.people_store import ACT, PeopleFile, Person

real, written = people_store._put, []

def put(connection, person):
    real(connection, person)
    written.append(person)
    if len(written) == 15:
        print("here", flush=True)
        time.sleep(600)

people_store._put = put
people = [Person(i, f"p{i}", np.ones(50_000, dtype=ACT)) for i in range(20)]
PeopleFile(Path(sys.argv[1])).update(people, seen=9)
"""


def acts(*films: int, kind: str = "like", at: float = 0.0) -> Acts:
    """What someone did: the same with each film."""
    return np.array([(film, KIND_NUMBER[kind], np.nan, at) for film in films], dtype=ACT)


def gone(id_: int) -> Person:
    """Someone who is no longer there."""
    return Person(id_, None, acts())


def films(people: PeopleFile, user_id: str) -> list[int]:
    """The films of a person."""
    done: list[int] = people.acts(user_id)["movie_id"].tolist()
    return done


def damage(path: Path, statement: str) -> None:
    """Change the file behind the product's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of two people."""
    path = tmp_path / "people.sqlite"
    people = [Person(1, "anna", acts(10, 20)), Person(2, "Bjørn %/'☃", acts(30))]
    assert PeopleFile.create(path, people, seen=5) == 2
    return path


@pytest.fixture
def people(path: Path) -> Iterator[PeopleFile]:
    """The same, open."""
    people = PeopleFile(path)
    yield people
    people.close()


def test_what_people_did_comes_back_as_it_was(tmp_path: Path) -> None:
    given = np.array(
        [(2**31 - 1, number, 0.5 + number, -1e9 + number / 1e6) for number in range(len(KINDS))], dtype=ACT
    )
    PeopleFile.create(tmp_path / "p", [Person(2**62, "anna", given)], seen=2**62)
    people = PeopleFile(tmp_path / "p")
    np.testing.assert_array_equal(people.acts("anna"), given)
    assert people.seen == 2**62
    people.close()


def test_a_file_of_nobody_is_a_file(tmp_path: Path) -> None:
    assert PeopleFile.create(tmp_path / "p", [], seen=0) == 0
    people = PeopleFile(tmp_path / "p")
    assert (films(people, "anna"), people.seen) == ([], 0)
    people.close()


def test_someone_unknown_did_nothing(people: PeopleFile) -> None:
    assert films(people, "carl") == []
    assert films(people, "Bjørn %/'☃") == [30]


def test_an_update_takes_the_place_of_what_was_known(people: PeopleFile) -> None:
    assert people.update([Person(1, "anna", acts(40)), Person(3, "carl", acts(50))], seen=8) == 2
    assert (films(people, "anna"), films(people, "carl"), films(people, "Bjørn %/'☃")) == ([40], [50], [30])
    assert people.seen == 8


def test_who_is_gone_did_nothing(people: PeopleFile) -> None:
    assert people.update([gone(1), gone(99)], seen=6) == 1
    assert films(people, "anna") == []


def test_what_is_known_already_is_not_written_again(path: Path, people: PeopleFile) -> None:
    before = path.stat().st_mtime_ns
    assert people.update([Person(1, "anna", acts(10, 20)), gone(99)], seen=5) == 0
    assert path.stat().st_mtime_ns == before
    assert people.update([Person(1, "anna", acts(10, 20)), gone(99)], seen=6) == 0
    assert people.seen == 6


@pytest.mark.parametrize("order", [1, -1])
def test_who_comes_back_under_the_same_name_is_someone_new(people: PeopleFile, order: int) -> None:
    people.update([gone(1), Person(7, "anna", acts(70))][::order], seen=6)
    assert films(people, "anna") == [70]


def test_two_may_change_names(people: PeopleFile) -> None:
    people.update([Person(2, "anna", acts(30)), Person(1, "Bjørn %/'☃", acts(10))], seen=6)
    assert films(people, "anna") == [30]


def test_nothing_of_who_is_gone_remains_in_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p"
    history = np.arange(400_000, 400_000 + 3_000, dtype="i4")
    others = [Person(number, f"other {number}", acts(number)) for number in range(2, 300)]
    PeopleFile.create(path, [Person(1, "anna-the-erased", acts(*history)), *others], seen=5)
    assert b"anna-the-erased" in path.read_bytes()
    people = PeopleFile(path)
    people.update([gone(1)], seen=6)
    left = path.read_bytes()
    assert b"anna-the-erased" not in left
    assert not any(film.tobytes() in left for film in history)
    assert people._one("PRAGMA secure_delete") == (1,), "not every SQLite comes with it switched on"
    people.close()


def test_an_odd_folder_is_no_trouble(tmp_path: Path) -> None:
    folder = tmp_path / "100%41 #1?mode=ro ☃"
    folder.mkdir()
    PeopleFile.create(folder / "p", [Person(1, "anna", acts(10))], seen=5)
    people = PeopleFile(folder / "p")
    assert films(people, "anna") == [10]
    people.close()


# Damage


def test_damaged_acts_are_refused_by_name(path: Path, people: PeopleFile) -> None:
    damage(path, "UPDATE people SET acts = zeroblob(17) WHERE id = 1")
    with pytest.raises(LayerUnavailableError, match=f"{path} is damaged"):
        people.acts("anna")
    assert films(people, "Bjørn %/'☃") == [30]


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 500])
def test_a_damaged_file_is_refused_by_name(path: Path, content: bytes | None) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LayerUnavailableError, match=str(path)):
        PeopleFile(path)


@pytest.mark.parametrize("statement", ["DROP TABLE people", "DROP TABLE seen"])
def test_a_file_that_is_damaged_while_open_is_refused(path: Path, people: PeopleFile, statement: str) -> None:
    damage(path, statement)
    with pytest.raises(LayerUnavailableError, match=str(path)):
        people.update([Person(1, "anna", acts(40))], seen=6)
    with pytest.raises(LayerUnavailableError, match=str(path)):
        people.acts("anna") if "people" in statement else people.seen


def test_an_update_is_all_or_nothing(people: PeopleFile) -> None:
    with pytest.raises(LayerUnavailableError):
        people.update([Person(1, "anna", acts(40)), Person(3, "Bjørn %/'☃", acts(50))], seen=8)
    assert (films(people, "anna"), people.seen) == ([10, 20], 5)


# While another writes


def test_readers_go_on_while_a_writer_updates(path: Path, people: PeopleFile) -> None:
    whole = {(10, 20)} | {tuple([number] * 30_000) for number in range(8)}
    done = threading.Event()
    failures: list[BaseException] = []
    reads = [0, 0, 0]

    def read(reader: int) -> None:
        mine = PeopleFile(path)
        try:
            while not done.is_set() or not reads[reader]:
                assert tuple(films(mine, "anna")) in whole
                reads[reader] += 1
        except BaseException as error:
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(3)]
    for thread in threads:
        thread.start()
    for number in range(8):
        others = [Person(id_, f"p{id_}", acts(*range(500))) for id_ in range(10, 20)]
        people.update([Person(1, "anna", acts(*([number] * 30_000))), *others], seen=number)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert all(reads)


def test_threads_share_an_open_file(people: PeopleFile) -> None:
    found: list[Sequence[int]] = []
    threads = [
        threading.Thread(target=lambda: found.extend(films(people, "anna") for _ in range(200))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[10, 20]] * 800


def test_a_writer_that_is_killed_leaves_what_was_there_before(path: Path) -> None:
    before = path.stat().st_size
    command = [sys.executable, "-c", DIES, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()
    assert path.stat().st_size > before, "it had begun to write"
    people = PeopleFile(path)
    assert (films(people, "anna"), films(people, "p14"), people.seen) == ([10, 20], [], 5)
    people.update([Person(1, "anna", acts(40))], seen=6)
    assert films(people, "anna") == [40]
    people.close()

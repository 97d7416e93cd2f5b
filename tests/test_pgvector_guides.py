"""Whoever follows the two pgvector guides word for word gets what they promise: every block of them is run.

A reader works in a copy of the repository whose `.venv` is this run's, so that `make` finds nothing to install.
A block of ```text is what the block before it prints, or how it fails. Only numbers may differ, for the reader has
fifty films in place of 5,000.
"""

import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from backend.catalog.records import parse_record
from backend.catalog.sources import read_starter
from backend.catalog.store import claim_pending, save_embeddings, upsert
from backend.database import CONNECT_ARGS
from backend.embedded_postgres import DATABASE, EmbeddedPostgres
from backend.migrations import migrate
from backend.ml.encoder import Encoder
from tests.test_embedded_postgres import temporary_home

# Dozens of processes are started, one after the other.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[1]
SETUP, QUICKSTART = ROOT / "PGVECTOR_SETUP.md", ROOT / "PGVECTOR_QUICKSTART.md"
SETTINGS = {
    *("DATABASE_URL", "DATA_DIR", "HOST", "PORT", "API_KEYS", "ADMIN_KEY", "TMDB_API_KEY"),
    *("VECTOR_INDEX", "TASTE_PACK"),
}
NOT_COPIED = (".git", ".venv", ".env", "data", ".*_cache", ".hypothesis")

PART = re.compile(r"^```(\w*)\n(.*?)^```$|^#+ ([^\n]+)$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d[\d,.]*( [kM]B\b)?")
RUN = {"sh", "sql", "python"}
FAILURE = re.compile(r"^(ERROR: |FAIL |psql: error|[\w.]+Error: )")
CLONING = "git clone <address of this repository> marquee"
EMBEDDED, EXTERNAL = "With the PostgreSQL that comes along", "Or with your own PostgreSQL"
LONG_RUNNING = "make run"
SHOWN = {862, 863, 10193, 301528, 603, 604}
FILMS = 50
READY = "Marquee is ready at "


@dataclass(frozen=True)
class Block:
    """A fenced block, and where it stands."""

    language: str
    content: str
    place: str
    heading: str

    @property
    def is_long_running(self) -> bool:
        return self.content.splitlines()[-1] == LONG_RUNNING


NOTHING = Block("", "\n", "", "")


def blocks_of(document: Path) -> list[Block]:
    """The fenced blocks, in order."""
    content = document.read_text("utf-8")
    blocks, heading = [], ""
    for part in PART.finditer(content):
        language, inside, title = part.groups()
        heading = title or heading
        if title is None:
            place = f"{document.name}:{content.count(chr(10), 0, part.start()) + 1}"
            blocks.append(Block(language, inside, place, heading))
    assert content.count("```") == 2 * len(blocks), "a fence is indented, or not closed: it would not be run"
    return blocks


class Reader:
    """Someone with a terminal, who copies one block after the other."""

    def __init__(self, home: Path, *, instead: dict[str, str], **environment: str) -> None:
        self.home = home
        self.instead = instead
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        self._environment = inherited | environment
        self._service: subprocess.Popen[str] | None = None
        self.open_terminal()

    def open_terminal(self) -> None:
        """What was exported is forgotten, and the folder is the first again."""
        self._state, self._folder = self.home / "state", self.home / "folder"
        self._state.write_text("")
        self._folder.write_text(str(self.home))

    def follow(self, blocks: list[Block]) -> None:
        """Run them all, and compare what they print with what the document shows."""
        for before, block, after in zip([NOTHING, *blocks], blocks, [*blocks[1:], NOTHING], strict=False):
            if block.language == "text":
                assert before.language in RUN, f"{block.place}: output of what?"
                assert not before.is_long_running, f"{block.place}: not compared"
            else:
                assert block.language in RUN, f"{block.place}: a block of this kind would not be run"
                self._copy(block, after.content if after.language == "text" else "")

    def stop_service(self) -> None:
        """Ctrl-C in the terminal of `make run`."""
        if self._service is None:
            return
        os.killpg(self._service.pid, signal.SIGINT)
        try:
            self._service.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._service.pid, signal.SIGKILL)
        self._service = None

    def _copy(self, block: Block, shown: str) -> None:
        script = self._as_script(block)
        if block.is_long_running:
            self._serve(script, block)
            self.open_terminal()
            return
        done = subprocess.run(**self._in_terminal(script), capture_output=True, timeout=120)
        printed = f"{done.stdout}\n{done.stderr}"
        fails = FAILURE.search(shown) is not None
        assert (done.returncode != 0) == fails, f"{block.place}: exit {done.returncode}\n{printed}"
        assert not shown or shape(shown) in shape(printed), f"{block.place} prints\n{printed}\nand not\n{shown}"

    def _as_script(self, block: Block) -> str:
        content = block.content
        for written, meant in self.instead.items():
            content = content.replace(written, meant)
        if block.language == "sql":
            return f"psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \"$DB\" <<'SQL'\n{content}SQL\n"
        return f"python - <<'PYTHON'\n{content}PYTHON\n" if block.language == "python" else content

    def _in_terminal(self, script: str) -> dict[str, Any]:
        remember = f"trap 'export -p > {self._state}; pwd > {self._folder}' EXIT"
        return {
            "args": ["bash", "-e", "-o", "pipefail", "-c", f". {self._state}\n{remember}\n{script}"],
            "cwd": self._folder.read_text().strip(),
            "env": self._environment,
            "text": True,
            "stdin": subprocess.DEVNULL,
        }

    def _serve(self, script: str, block: Block) -> None:
        assert self._service is None
        log = self.home / "service.log"
        with log.open("w") as errors:
            self._service = subprocess.Popen(
                **self._in_terminal(script), stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        assert self._service.stdout is not None
        said = []
        for line in self._service.stdout:
            said.append(line)
            if line.startswith(READY):
                return
        pytest.fail(f"{block.place} does not come up\n{''.join(said)}\n{log.read_text()}")


def shape(printed: str) -> str:
    """What has to agree: all but numbers, and the width of columns."""
    lines = (re.sub(r"--+", "-", NUMBER.sub("0", " ".join(line.split()))) for line in printed.splitlines())
    return "".join(f"\n{line}\n" for line in lines if line)


def copy_repository(folder: Path) -> None:
    """What `git clone` and `make install` give: the files, and a `.venv` that is this run's."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    installed = folder / ".venv"
    installed.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith(".installed"):
            (installed / entry.name).symlink_to(entry)
    (installed / ".installed").touch()


def some_films() -> list[dict[str, Any]]:
    """Those that the guides show, and the best-known: few, for each is embedded."""
    films = sorted((film for _, film in read_starter()), key=lambda film: -int(film["vote_count"]))
    shown = [film for film in films if int(film["id"]) in SHOWN]
    assert len(shown) == len(SHOWN)
    return shown + [film for film in films if film not in shown][: FILMS - len(shown)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Where a reader begins: a folder into which the repository has just been cloned."""
    with temporary_home() as home:
        copy_repository(home / "marquee")
        yield home


@pytest.fixture
def another_home() -> Iterator[Path]:
    """The same, without a database."""
    with temporary_home() as home:
        copy_repository(home / "marquee")
        yield home


@pytest.fixture(scope="module")
def embedded(home: Path, encoder: Encoder) -> EmbeddedPostgres:
    """The copy's own server, which has some films already: to embed 5,000 takes a minute."""
    server = EmbeddedPostgres(home / "marquee" / "data" / "postgres")
    server.start()
    run_as_admin(server, f"CREATE DATABASE {DATABASE}")
    engine = create_engine(server.url(), connect_args=CONNECT_ARGS)
    migrate(engine)
    with Session(engine) as session, session.begin():
        upsert(session, [parse_record(film) for film in some_films()], source="starter")
        model = encoder.config.model
        films = claim_pending(session, model=model, limit=FILMS)
        vectors = encoder.encode([film.text for film in films])
        save_embeddings(session, [film.id for film in films], vectors, model=model)
    engine.dispose()
    return server


@pytest.fixture
def another(postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """What the guides call `user:password@host:5432`: this run's server, with a name that nobody else uses."""
    name = f"marquee_{uuid4().hex[:12]}"
    instead = {f"CREATE DATABASE {DATABASE}": f"CREATE DATABASE {name}"}
    for written, meant in ((DATABASE, name), ("postgres", "postgres")):
        address = make_url(postgres.url(meant)).set(drivername="postgresql").render_as_string()
        # In quotes: the address of a socket has an ampersand in it.
        instead[f"postgresql://user:password@host:5432/{written}"] = f"'{address}'"
    yield instead
    run_as_admin(postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def run_as_admin(server: EmbeddedPostgres, statement: str) -> None:
    admin = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(statement))
    admin.dispose()


@contextmanager
def reading(home: Path, instead: dict[str, str], **environment: str) -> Iterator[Reader]:
    """A reader, who in the end stops what they have started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    elsewhere = {CLONING: "", "127.0.0.1:8000": f"127.0.0.1:{port}"}
    reader = Reader(home, instead=elsewhere | instead, PORT=str(port), **environment)
    try:
        yield reader
    finally:
        reader.stop_service()


def quickstart(start: str) -> list[Block]:
    """One way to start it, and what comes after either."""
    blocks = blocks_of(QUICKSTART)
    last = blocks[-1].heading
    assert {block.heading for block in blocks} == {EMBEDDED, EXTERNAL, last}, "a block belongs to neither way"
    return [block for block in blocks if block.heading in (start, last)]


def test_a_reader_of_the_quickstart_sees_similar_films(home: Path, embedded: EmbeddedPostgres) -> None:
    embedded.stop()
    with reading(home, {}) as reader:
        reader.follow(quickstart(EMBEDDED))


def test_a_reader_of_the_quickstart_sees_them_in_a_postgresql_of_their_own(
    another_home: Path, another: dict[str, str]
) -> None:
    with gzip.open(another_home / "marquee" / "films.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(film) + "\n" for film in some_films())
    with reading(another_home, another) as reader:
        reader.follow(quickstart(EXTERNAL))


def test_every_block_of_the_guide_does_what_it_says(
    home: Path, embedded: EmbeddedPostgres, another: dict[str, str]
) -> None:
    # The guide is for an installation that is running.
    embedded.start()
    with reading(home / "marquee", another) as reader:
        reader.follow(blocks_of(SETUP))

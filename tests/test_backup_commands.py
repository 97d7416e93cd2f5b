"""`python -m backend backup` and `restore`: from a server to the embedded one and back."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from backend import __main__ as backend_main
from backend import cli, config, database
from backend.embedded_postgres import EmbeddedPostgres
from tests.conftest import make_database
from tests.operations.test_backup import answers, content, people
from tests.test_embedded_postgres import is_stopped, temporary_home
from tests.test_serve import ROOT, environment

__all__ = ["people"]


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Commands of this process read the environment anew."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    forget()
    yield
    forget()


def forget() -> None:
    config.get_settings.cache_clear()
    database.get_engine.cache_clear()


def here(url: str, *arguments: str) -> int:
    """A command of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        forget()
        code = backend_main.main([*arguments])
        database.get_engine().dispose()
    return code


def embedded(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command as a process of its own, which has an embedded server."""
    command = [sys.executable, "-m", "backend", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(data), capture_output=True, text=True, timeout=120)


def test_a_database_moves_to_the_embedded_server_and_back(
    people: Engine, postgres: EmbeddedPostgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.backup", tmp_path / "second.backup"
    assert here(people.url.render_as_string(hide_password=False), "backup", str(first)) == 0
    assert capsys.readouterr().out.startswith(f"backup: {first}, {first.stat().st_size:,} bytes: ")
    with temporary_home() as home:
        data = home / "data"
        restored = embedded(data, "restore", str(first))
        assert restored.returncode == 0, restored.stderr
        assert "all as when it was saved" in restored.stdout
        saved = embedded(data, "backup", str(second))
        assert saved.returncode == 0, saved.stderr
        assert is_stopped(data / "postgres")
    url = make_database(postgres)
    assert here(url, "restore", str(second)) == 0
    back = create_engine(url)
    assert content(back) == content(people)
    assert here(url, "restore", str(second)) == 1
    assert capsys.readouterr().err.startswith("error: The database is not empty")
    assert answers(back) == answers(people)
    back.dispose()

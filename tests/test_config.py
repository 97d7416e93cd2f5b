"""Settings: what the environment may say, and what must not leak."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from backend.config import Settings, render_env_example

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting from this machine, and no `.env` of a developer."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_example_file_lists_every_setting_as_it_is() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == render_env_example()


def test_the_example_file_uncommented_changes_nothing(tmp_path: Path) -> None:
    names = tuple(f"# {name.upper()}=" for name in Settings.model_fields)
    lines = [line[2:] for line in render_env_example().splitlines() if line.startswith(names)]
    assert len(lines) == len(names)
    (tmp_path / ".env").write_text("\n".join(lines))
    assert Settings() == Settings(_env_file=None)  # type: ignore[call-arg]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_usual_form_of_a_database_url_is_understood(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://ann:p%40ss@db:5433/films?sslmode=require")
    assert Settings().sqlalchemy_url == "postgresql+psycopg2://ann:p%40ss@db:5433/films?sslmode=require"


@pytest.mark.parametrize("unset", [None, ""])
def test_without_a_database_url_the_embedded_server_is_meant(
    monkeypatch: pytest.MonkeyPatch, unset: str | None
) -> None:
    if unset is not None:
        monkeypatch.setenv("DATABASE_URL", unset)
    assert Settings().sqlalchemy_url is None


@pytest.mark.parametrize(
    ("raw", "keys"),
    [("one", ["one"]), (" one , two,three ", ["one", "two", "three"]), (" , ,", []), ("", [])],
)
def test_api_keys_are_split_at_commas(monkeypatch: pytest.MonkeyPatch, raw: str, keys: list[str]) -> None:
    monkeypatch.setenv("API_KEYS", raw)
    assert Settings().client_keys == keys


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:hush@db/films")
    monkeypatch.setenv("API_KEYS", "hush-client")
    monkeypatch.setenv("ADMIN_KEY", "hush-admin")
    settings = Settings()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hush" not in shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("RECALL_TARGET", "98"),
        ("VECTOR_INDEX", "flat"),
        ("TASTE_PACK", "of-my-own"),
        ("INCLUDE_ADULT", "perhaps"),
        ("TMDB_LANGUAGE", "german"),
        ("TMDB_LANGUAGE", "DE_de"),
        ("DB_POOL_SIZE", "0"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ADMIN_KEY", "hush")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [error["loc"] for error in caught.value.errors()] in ([(variable.lower(),)], [(variable,)])
    assert "hush" not in str(caught.value)


def test_words_are_taken_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("VECTOR_INDEX", "HNSW")
    monkeypatch.setenv("TASTE_PACK", "None")
    assert (Settings().log_level, Settings().vector_index, Settings().taste_pack) == ("warning", "hnsw", "none")


def test_the_data_folder_does_not_move_with_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings()
    monkeypatch.chdir("/")
    assert settings.data_dir == tmp_path.resolve() / "data"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.0.1.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)],
)
def test_only_loopback_counts_as_this_machine(monkeypatch: pytest.MonkeyPatch, host: str, loopback: bool) -> None:
    monkeypatch.setenv("HOST", host)
    assert Settings().listens_on_loopback is loopback


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense", "host=db user=me", "postgresql://u:p@db:port/x"])
def test_an_address_of_another_database_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ValidationError, match="database_url") as caught:
        Settings(_env_file=None)
    assert "postgresql://" in str(caught.value)

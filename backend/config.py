"""Settings: the only reader of the environment."""

import os
import re
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

PACKAGED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The model whose weights come with the installation."""
LANGUAGE = r"^[a-z]{2}(-[A-Z]{2})?$"
"""How TMDB writes a language, perhaps with a country."""
RATE = r"[1-9][0-9]*/(second|minute|hour|day)"
RATE_LIMIT = rf"^{RATE}(;{RATE})*$"
ORIGIN = r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?"
"""As browsers write it: in small letters, and nothing after the port."""


class Settings(BaseSettings):
    """Everything an operator may set; each field's description is its line in `.env.example`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL 15 or newer with pgvector 0.7 or newer, e.g. "
        "postgresql://user:password@host:5432/marquee. Unset: an embedded PostgreSQL 16 under DATA_DIR.",
    )
    data_dir: Path = Field(Path("data"), description="Where everything that Marquee keeps on disk lives.")
    host: str = Field("127.0.0.1", description="Address to listen on. Any but loopback asks for a key.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    root_path: str = Field(
        "",
        pattern=r"^(/[^/?#\s]+)*/?$",
        description="Path prefix under which a reverse proxy shows Marquee, e.g. /marquee, stripped by it or not.",
    )
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Comma-separated addresses and networks of reverse proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed.",
    )
    api_keys: SecretStr | None = Field(
        None,
        description="Comma-separated keys for clients. Unset: open on loopback, a generated key elsewhere.",
    )
    admin_key: SecretStr | None = Field(
        None, description="Key for jobs, and for export and erase of a person. Unset: as any other route."
    )
    rate_limit: str | None = Field(
        None,
        pattern=RATE_LIMIT,
        description="Requests that a key, or an address without one, may make, e.g. 100/second;1000/minute. "
        "Unset: as many as it likes.",
    )
    cors_origins: str | None = Field(
        None,
        description="Comma-separated origins whose pages may ask from a browser, e.g. https://films.example.org. "
        "Unset: none.",
    )
    tmdb_api_key: SecretStr | None = Field(
        None, description="A key (v3) or a read access token (v4) of TMDB. Unset: nothing is fetched from there."
    )
    tmdb_base_url: str = Field(
        "https://api.themoviedb.org/3", pattern=r"^https?://", description="Where TMDB's API is."
    )
    tmdb_export_url: str = Field(
        "http://files.tmdb.org/p/exports",
        pattern=r"^https?://",
        description="Where TMDB's daily exports of ids are.",
    )
    tmdb_rate: float = Field(40, gt=0, le=1000, description="Requests a second to TMDB, at most.")
    tmdb_max_age_days: int = Field(
        180,
        ge=30,
        description="Days after which a film is fetched again, or left out of answers where it can't be.",
    )
    tmdb_language: str | None = Field(
        None,
        pattern=LANGUAGE,
        description="Language of titles and overviews from TMDB, e.g. de or pt-BR; the film's own stands in. "
        "Unset: English.",
    )
    embedding_model: str = Field(
        PACKAGED_MODEL,
        description="The packaged model, another hub name, or a folder. It must give 384 dimensions.",
    )
    taste_pack: Literal["movielens-small", "none"] = Field(
        "movielens-small",
        description="What is known of taste before anyone has rated here: learned from MovieLens, for "
        "research and not for commercial use. none: only what people do here, and TMDB's votes.",
    )
    vector_index: Literal["auto", "exact", "ivfflat", "hnsw"] = Field(
        "auto", description="auto: exact while the catalogue is small, then HNSW."
    )
    recall_target: float = Field(0.98, gt=0, le=1, description="Recall@10 that probes or ef_search are tuned to.")
    include_adult: bool = Field(False, description="Let films flagged as adult into answers.")
    ingest_hour: int = Field(3, ge=0, le=23, description="Hour, local time, of the nightly refresh from TMDB.")
    embeddings_hour: int = Field(4, ge=0, le=23, description="Hour of embedding what is pending.")
    index_hour: int = Field(5, ge=0, le=23, description="Hour of looking after the vector index.")
    train_hour: int = Field(6, ge=0, le=23, description="Hour of learning taste from what people did.")
    cache_hour: int = Field(7, ge=0, le=23, description="Hour of writing the file cache anew.")
    db_pool_size: int = Field(10, ge=3, le=200, description="Database connections a process may hold.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["console", "json"] = Field("console", description="For people, or for machines.")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("log_level", "log_format", "vector_index", "taste_pack", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("root_path")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for one in value.split(","):
            try:
                ip_network(one.strip(), strict=False)
            except ValueError:
                raise ValueError(f"{one.strip()!r} is no address and no network, such as 10.0.0.0/8") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return value
        if not re.match(r"postgres(ql)?(\+psycopg2)?://", value.get_secret_value()):
            raise ValueError("must begin with postgresql://")
        try:
            make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("must be like postgresql://user:password@host:5432/name") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str | None) -> str | None:
        # Not *: every page that somebody here looks at could ask then.
        if not all(re.fullmatch(ORIGIN, origin) for origin in _split(value)):
            raise ValueError("must be like https://films.example.org, without a path and without *")
        return value

    @property
    def sqlalchemy_url(self) -> str | None:
        """DATABASE_URL with the psycopg2 driver named, or None for the embedded server."""
        if self.database_url is None:
            return None
        _, separator, rest = self.database_url.get_secret_value().partition("://")
        return f"postgresql+psycopg2{separator}{rest}"

    @property
    def client_keys(self) -> list[str]:
        """The keys in API_KEYS, in order."""
        return _split(self.api_keys.get_secret_value() if self.api_keys else None)

    @property
    def allowed_origins(self) -> list[str]:
        """The origins in CORS_ORIGINS, in order."""
        return _split(self.cors_origins)

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


def _split(listed: str | None) -> list[str]:
    return [part.strip() for part in (listed or "").split(",") if part.strip()]


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def render_env_example() -> str:
    """The text of `.env.example`: every setting, its description and its default."""
    blocks = ["# Every setting is optional. Copy to .env and uncomment what you change.\n"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else field.default
        shown = str(default).lower() if isinstance(default, bool) else default
        blocks.append(f"# {field.description}\n# {name.upper()}={shown}\n")
    return "\n".join(blocks)


def keep_offline() -> None:
    """Keep the model library from asking the network about weights that lie on disk."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def environment_with(**values: str) -> dict[str, str]:
    """The environment of this process, with these values, for a program that it starts."""
    return os.environ | values

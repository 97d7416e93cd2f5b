"""The films in the schema of cine-rec-engine, with embeddings and an index as its documentation has them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, text

from backend.catalog.records import GENRE_IDS
from backend.ml.taste_store import received
from backend.models import EMBEDDING_DIMENSION

CONNECTIONS = 20
"""What it recommends for its pool."""
PLAIN = (
    *("id", "title", "original_title", "original_language", "overview", "release_date", "runtime", "status"),
    *("adult", "vote_average", "vote_count", "popularity", "poster_path", "backdrop_path", "imdb_id"),
)
CAST = 5

Film = Mapping[str, Any]


async def pool_on(engine: Engine) -> Any:
    """A pool as it wants one; it is there for the schema, and for its service."""
    import asyncpg

    url = engine.url
    return await asyncpg.create_pool(
        host=url.query["host"],
        port=int(str(url.query["port"])),
        user=url.username,
        database=url.database,
        min_size=1,
        max_size=CONNECTIONS,
    )


async def fill(pool: Any, ours: Engine) -> None:
    """All films of our database, by its own schema."""
    from cine_rec_engine.init_db import apply_schema
    from pgvector.asyncpg import register_vector

    with ours.connect() as connection:
        films = [dict(row) for row in connection.execute(_FILMS).mappings()]
    async with pool.acquire() as connection:
        await apply_schema(connection)
        await connection.execute(f"ALTER TABLE tmdb_movies ADD embedding vector({EMBEDDING_DIMENSION})")
        await register_vector(connection)
        for table, columns, rows in _tables(films):
            await connection.copy_records_to_table(table, columns=columns, records=rows)
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute("CREATE INDEX ON tmdb_movies USING hnsw (embedding vector_cosine_ops)")
        await connection.execute("VACUUM (ANALYZE)")


def _tables(films: Sequence[Film]) -> Iterable[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    collections = _numbers([film["collection"]] for film in films if film["collection"])
    keywords = _numbers(film["keywords"] for film in films)
    people = _numbers([*film["directors"], *film["actors"][:CAST]] for film in films)
    named = ("id", "name")
    yield "tmdb_people", named, [(number, name) for name, number in people.items()]
    yield "tmdb_keywords", named, [(number, name) for name, number in keywords.items()]
    yield "tmdb_movie_genres", named, [(number, name) for name, number in GENRE_IDS.items()]
    yield (
        "tmdb_movies",
        (*PLAIN, "collection_id", "embedding"),
        [_movie(film, collections) for film in films],
    )
    yield "tmdb_movie_genres_map", ("movie_id", "genre_id"), _pairs(films, "genres", GENRE_IDS)
    yield "tmdb_movie_keywords", ("movie_id", "keyword_id"), _pairs(films, "keywords", keywords)
    directing = [(*pair, "Director") for pair in _pairs(films, "directors", people)]
    yield "tmdb_movie_crew", ("movie_id", "person_id", "job"), directing
    acting = [
        (film["id"], people[name], order)
        for film in films
        for order, name in enumerate(dict.fromkeys(film["actors"][:CAST]))
    ]
    yield "tmdb_movie_cast", ("movie_id", "person_id", "cast_order"), acting


def _movie(film: Film, collections: Mapping[str, int]) -> tuple[Any, ...]:
    return (*(film[name] for name in PLAIN), collections.get(film["collection"]), received(film["embedding"]))


def _numbers(names: Iterable[Iterable[str]]) -> dict[str, int]:
    """A number for each name, from 1."""
    every = dict.fromkeys(name for some in names for name in some)
    return {name: number for number, name in enumerate(every, 1)}


def _pairs(films: Iterable[Film], column: str, numbers: Mapping[str, int]) -> list[tuple[Any, ...]]:
    return [
        (film["id"], numbers[name]) for film in films for name in dict.fromkeys(film[column]) if name in numbers
    ]


_FILMS = text(f"""
    SELECT {", ".join(PLAIN)}, collection, genres, keywords, directors, actors,
        vector_send(embedding) AS embedding
    FROM movies ORDER BY id
""")  # noqa: S608 - they are constants

"""What routes are given: a session, the recommender, the settings, the encoder once it is loaded.

None of these waits for anything, so they run on the event loop, and a request takes a thread's turn once: for its
answer.
"""

import gc
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import structlog
from fastapi import Depends, Path, Request
from pydantic import WithJsonSchema
from sqlalchemy.orm import Session

from backend.api.inputs import MOVIE_ID_TEXT, PERSON_TEXT, MovieId, Person
from backend.api.render import RecommendationIds
from backend.config import Settings
from backend.database import reading_session
from backend.errors import ModelError
from backend.ml.encoder import Encoder, get_encoder
from backend.ml.recommender import Layers
from backend.ml.recommender import Recommender as LayeredRecommender
from backend.ml.taste_statements import Vector384

log = structlog.get_logger()


class Words:
    """The encoder of this process, loaded behind the first answers: it takes seconds."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._encoder: Encoder | None = None
        self._is_unusable = False

    def load_behind(self) -> None:
        """Start to load."""
        threading.Thread(target=self._load, name="encoder", daemon=True).start()

    def find_meaning(self, text: str) -> Vector384 | None:
        """The embedding of some words, shape (384,); None while there is no encoder."""
        vector: Vector384 | None = self._encoder.encode([text])[0] if self._encoder else None
        return vector

    def get_meaning(self, text: str) -> Vector384:
        """The same. Raises ModelError while there is no encoder."""
        vector = self.find_meaning(text)
        if vector is None:
            raise ModelError("The embedding model is still being loaded; try again in a few seconds.")
        return vector

    @property
    def loaded(self) -> bool:
        """Whether there is an encoder."""
        return self._encoder is not None

    @property
    def state(self) -> Literal["loading", "loaded", "unusable"]:
        """How far the encoder is; one that can't be loaded stays unusable until the next start."""
        if self._is_unusable:
            return "unusable"
        return "loaded" if self.loaded else "loading"

    def _load(self) -> None:
        try:
            self._encoder = get_encoder(self._model)
        except ModelError as error:
            log.error("encoder_not_loaded", detail=error.detail)
            self._is_unusable = True
        # What there is by now stays: the garbage collector need not go through a million objects again and again.
        gc.collect()
        gc.freeze()


async def get_session() -> AsyncIterator[Session]:
    """A session for reading: it has a connection only from its first statement on, and nothing to commit."""
    with reading_session() as session:
        yield session


async def get_settings_of(request: Request) -> Settings:
    """The settings that the app was made with."""
    settings: Settings = request.app.state.settings
    return settings


async def get_words(request: Request) -> Words:
    """The encoder, loaded or not."""
    words: Words = request.app.state.words
    return words


async def get_ids(request: Request) -> RecommendationIds:
    """What signs lists."""
    ids: RecommendationIds = request.app.state.recommendation_ids
    return ids


async def ask_database(request: Request) -> AsyncIterator[None]:
    """For routes that only the database can answer."""
    layers: Layers = request.app.state.layers
    with layers.asking_database():
        yield


async def get_recommender(
    request: Request, session: Annotated[Session, Depends(get_session)]
) -> LayeredRecommender:
    """What answers, whichever layers there are."""
    return LayeredRecommender(session, request.app.state.layers)


AskDatabase = Depends(ask_database)
ReadSession = Annotated[Session, Depends(get_session)]
CurrentSettings = Annotated[Settings, Depends(get_settings_of)]
CurrentWords = Annotated[Words, Depends(get_words)]
CurrentIds = Annotated[RecommendationIds, Depends(get_ids)]
Recommender = Annotated[LayeredRecommender, Depends(get_recommender)]
MoviePath = Annotated[
    MovieId,
    Path(alias="movie_id", description="TMDB id, or IMDb id (tt0114709)."),
    WithJsonSchema(MOVIE_ID_TEXT),
]
PersonPath = Annotated[
    Person,
    Path(alias="user_id", description="Whatever the client calls this person."),
    WithJsonSchema(PERSON_TEXT),
]

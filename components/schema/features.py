"""The feature snapshot: what serving and evaluation need of the features, at the end of the log.

``facts.json``; ``interactions/*.parquet`` (user_id, item_index, timestamp_ms of the training positives, all of a user's in one
file);
``user_states/*.parquet`` (a row a user: recent items with time, value and type code, oldest first, event counts, and
every item ever had);
``user_requests/*.gz`` (samples without an item: what each user's request would be right after the last event).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import ArtifactError

FACTS_FILE = "facts.json"
INTERACTIONS_FOLDER, STATES_FOLDER, REQUESTS_FOLDER = "interactions", "user_states", "user_requests"


@dataclass(frozen=True)
class SnapshotFacts:
    """What is the same for all users.

    Attributes:
      types: event types of the history; a type's place is its code.
      eval_from_ms, test_from_ms: where the splits begin; None where each user's last events are held out.
      last_timestamp_ms: of the log.
    """

    types: tuple[str, ...]
    eval_from_ms: int | None
    test_from_ms: int | None
    last_timestamp_ms: int

    def save(self, folder: Path) -> None:
        (folder / FACTS_FILE).write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> "SnapshotFacts":
        try:
            raw = json.loads((folder / FACTS_FILE).read_text())
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{folder / FACTS_FILE}: cannot be read ({error}); run the Samples node again") from error
        return cls(**{**raw, "types": tuple(raw["types"])})


def interaction_files(folder: Path) -> list[Path]:
    """Each holds all rows of its users."""
    return sorted((folder / INTERACTIONS_FOLDER).glob("*.parquet"))


def read_interactions(folder: Path) -> pa.Table:
    return pq.read_table(folder / INTERACTIONS_FOLDER)


def read_user_states(folder: Path) -> pa.Table:
    return pq.read_table(folder / STATES_FOLDER)

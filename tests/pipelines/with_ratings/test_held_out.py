"""That trainings are stopped by what the funnel is judged by: the same moments, candidates and misses."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.features.seen import seen_before
from components.funnel.parts import FunnelParts
from components.ranking.moments import held_out_moments
from components.retrieval import trainer as retrieval
from components.schema import samples as names
from components.schema.catalogue import read_items
from components.schema.features import read_interactions
from components.training.context import TrainingContext
from components.training.exported import read_examples
from components.training.held_out import SEEN, held_out
from components.training.recall import Recall
from tests.pipelines.conftest import Workdir, ratings_config
from tests.pipelines.trainings import ranking_context

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=[{}, {"positive": "like"}, {"history_length": 5}], ids=["rate", "like", "short"])
def context(ratings: Workdir, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TrainingContext:
    config = ratings_config()
    config["samples"] |= request.param
    return ranking_context(ratings, config, tmp_path_factory.mktemp("checkpoints"))


def expected(context: TrainingContext) -> dict[tuple[str, int], tuple[bytes, str]]:
    """The positives of the validation split by user and moment: sample and item."""
    folder = Path(context.eval_files[0]).parent
    found = {}
    for sample in read_examples(folder):
        features = tf.train.Example.FromString(sample).features.feature
        if features[names.LABEL_PREFIX + context.config.positive_task].float_list.value[0] > 0:
            user = features[names.USER_ID].bytes_list.value[0].decode()
            moment = features[names.TIMESTAMP].int64_list.value[0]
            found[user, moment] = (sample, features[names.ITEM_ID].bytes_list.value[0].decode())
    return found


def test_the_moments_are_the_splits_positives_with_all_that_was_seen(context: TrainingContext) -> None:
    moments = list(held_out(context, [names.USER_ID, names.TIMESTAMP, "item_row"], 10_000).as_numpy_iterator())
    wanted = expected(context)
    made = {(each[names.USER_ID].decode(), int(each[names.TIMESTAMP])): each for each in moments}
    assert made.keys() == wanted.keys()
    assert len(moments) == len(wanted) > 10
    ids = context.item_facts.ids
    for key, each in made.items():
        assert ids[each["item_row"]] == wanted[key][1]
        # The last but one of twelve events: ten came before it, of which the sample's history holds five.
        assert (each[SEEN] >= 0).sum() == 10


def test_the_ranker_is_measured_on_what_the_funnel_would_rank(context: TrainingContext, ratings: Workdir) -> None:
    wanted = expected(context)
    users, moments = (np.array(each) for each in zip(*wanted, strict=True))
    item_ids = read_items(context.inputs["catalogue"]).column("item_id").combine_chunks()
    seen = seen_before(context.inputs["event_log"], item_ids, context.config, users.astype(object), moments)
    parts = FunnelParts(
        str(context.inputs["retrieval"] / "Format-Serving"),
        str(ratings.artifact("RankingTrainer", "model") / "Format-Serving"),
        str(context.inputs["index"]),
        context.config.ranking.candidates,
    )
    lists = parts.load().recommend([sample for sample, _ in wanted.values()], seen, context.config.ranking.candidates)
    by_moment = {key: set(row[row >= 0].tolist()) for key, row in zip(wanted, lists.recalled, strict=True)}

    found: list[set[int]] = []
    for batch in held_out_moments(context, Recall(context.inputs["retrieval"])).as_numpy_iterator():
        found += [set(row[row >= 0].tolist()) for row in batch["recall_row"]]
    # The order of the moments is the training's own, so each is found by its list; 30 items less 10 are left for each.
    assert sorted(map(sorted, found)) == sorted(map(sorted, by_moment.values()))
    assert {len(rows) for rows in found} == {20}


def test_recall_is_stopped_by_what_is_ranked(context: TrainingContext) -> None:
    changed = {"candidates": 7}
    config = context.config.model_copy(update={"ranking": context.config.ranking.model_copy(update=changed)})
    assert retrieval.stop_metric(config, 30) == "recall_at_7"
    assert retrieval.stop_metric(config, 7) == "ndcg_at_10"  # all are ranked: recall is 1 whatever is learnt
    towers = config.retrieval.model_copy(update={"stop_on": "ndcg"})
    assert retrieval.stop_metric(config.model_copy(update={"retrieval": towers}), 30) == "ndcg_at_10"


def test_counts_of_a_random_split_are_those_of_training(ratings: Workdir, tmp_path: Path) -> None:
    """On whatever day a request comes: of the days of the log some hold what is tested."""
    config = ratings_config()
    config["samples"]["split"] = {"kind": "random"}
    days = ranking_context(ratings, config, tmp_path).item_days()
    trained = read_interactions(ratings.artifact("Samples", "features")).column("item_index").to_numpy()
    np.testing.assert_array_equal(days.total, [np.bincount(trained, minlength=days.total.shape[1])])
    assert days.row(np.array([0, 1 << 50])).tolist() == [0, 0]

"""What TFX's Evaluator is told to measure."""

import tensorflow_model_analysis as tfma

from components.config import PipelineConfig
from components.schema import samples as names


def evaluator_config(config: PipelineConfig) -> tfma.EvalConfig:
    """TFMA's metrics of each task's predictions, overall and by slice, with a bound and a comparison for AUC.

    A task whose negatives are drawn is judged by the funnel's lists over the whole catalogue, not here against a few drawn
    items, unless there is no other task.
    """
    observed = {name: task for name, task in config.dataset.tasks.items() if not names.has_drawn_negatives(config, name)}
    tasks = observed or config.dataset.tasks
    alone = (
        len(config.dataset.tasks) == 1
    )  # TFMA takes the only output of a model out of its dictionary, and knows no name of it
    slices = [tfma.SlicingSpec()]
    slices += [tfma.SlicingSpec(feature_keys=[names.feature_name(config, name)]) for name in config.evaluation.slices]
    metrics = [tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name="ExampleCount")])]
    for name, task in tasks.items():
        kinds = ["MeanSquaredError"] if task.kind == "regression" else ["AUC", "MeanLabel", "MeanPrediction"]
        of_task = [tfma.MetricConfig(class_name=kind) for kind in kinds]
        if task.kind == "binary":
            of_all = of_task[0].per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()]).threshold
            of_all.value_threshold.lower_bound.value = config.evaluation.min_auc
            of_all.change_threshold.direction = tfma.MetricDirection.HIGHER_IS_BETTER
            of_all.change_threshold.relative.value = config.evaluation.min_ratio_to_previous - 1
        metrics.append(tfma.MetricsSpec(metrics=of_task, output_names=[] if alone else [name]))
    labels = {name: names.LABEL_PREFIX + name for name in tasks}
    weights = {name: names.WEIGHT_PREFIX + name for name in tasks}
    if alone:
        model = tfma.ModelSpec(label_key=labels.popitem()[1], example_weight_key=weights.popitem()[1])
    else:
        model = tfma.ModelSpec(label_keys=labels, example_weight_keys=weights)
    model.signature_name = "evaluate"
    return tfma.EvalConfig(
        model_specs=[model],
        slicing_specs=slices,
        metrics_specs=metrics,
    )


def features_read(config: tfma.EvalConfig) -> set[str]:
    """What TFMA itself looks at in a sample: labels, weights and what tells the slices apart. The model reads it whole."""
    read = {key for spec in config.slicing_specs for key in spec.feature_keys}
    for model in config.model_specs:
        read |= {model.label_key, model.example_weight_key, *model.label_keys.values(), *model.example_weight_keys.values()}
    return read - {""}

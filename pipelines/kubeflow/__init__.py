"""The same DAG on Kubeflow Pipelines: its settings, its compiler, and what runs inside its containers."""

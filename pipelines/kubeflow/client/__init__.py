"""What asks an installation of Kubeflow Pipelines: submits the compiled pipeline, follows its runs, schedules it."""

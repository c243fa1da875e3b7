"""The options that several of the commands for a cluster have."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option(help="The config of the data set and of the models, as for `winnow run`; it is compiled first.")
]
PackageFile = Annotated[
    Path | None, typer.Option("--package", help="A pipeline.yaml that `winnow compile` has written, instead of --config.")
]
Cluster = Annotated[
    Path, typer.Option("--kubeflow", help="Settings of the cluster: image, pipeline root, resources. Used with --config.")
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        envvar="KFP_ENDPOINT",
        help="URL of Kubeflow Pipelines: its web page or its API. Without it, the service of the cluster that this runs in.",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        envvar="KFP_NAMESPACE", help="Your namespace, where Kubeflow serves many users; shown at the top of its page."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="KFP_EXISTING_TOKEN",
        help="Bearer token to log in with. Others on this machine can see it in the process list: prefer the variable.",
    ),
]
TokenFile = Annotated[Path | None, typer.Option(help="File with the bearer token; read anew for each request.")]
Cookie = Annotated[
    str | None,
    typer.Option(
        envvar="KFP_COOKIE",
        help="Cookie of a session in the browser, as in 'authservice_session=…', where Kubeflow has a login page.",
    ),
]
CaFile = Annotated[Path | None, typer.Option(help="Certificates in PEM to trust, where the endpoint's is your company's own.")]
PageUrl = Annotated[
    str | None,
    typer.Option(
        "--ui-url",
        envvar="KF_PIPELINES_UI_ENDPOINT",
        help="Root of the web page for the links that are printed, where it is not at --endpoint.",
    ),
]
Experiment = Annotated[
    str | None, typer.Option(help="Experiment to put it under; by default one with the name of the pipeline.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the run; may be given many times.")
]
Root = Annotated[
    str | None,
    typer.Option("--pipeline-root", help="Where artifacts go, such as s3://bucket/folder, instead of the compiled one."),
]
ServiceAccount = Annotated[
    str | None,
    typer.Option(help="Kubernetes service account that the nodes run as; with --config, by default that of --kubeflow."),
]
Workdir = Annotated[Path, typer.Option(help="Folder on this machine for the log and the compiled pipeline.")]

"""What it means when Kubeflow Pipelines does not answer, or answers that it will not, and what to do about it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3
from kfp_server_api.exceptions import ApiException

from components.errors import ClusterError

OLDEST = (2, 0, 0)  # the first whose API takes schema 2.1.0
_SHOWN_CHARS = 1000
HOW_TO_REACH = (
    "`kubectl port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80` brings it to --endpoint http://127.0.0.1:8080"
)
HOW_TO_LOG_IN = (
    "with --token-file (or KFP_EXISTING_TOKEN) a token that the cluster accepts, or with KFP_COOKIE the cookie of a session"
)


@contextmanager
def refused_clearly(endpoint: str, doing: str) -> Iterator[None]:
    """Around requests: an answer that refuses comes out as what it means; ``doing`` says what was asked for."""
    try:
        yield
    except ApiException as error:
        raise refusal(endpoint, doing, error) from error


def refusal(endpoint: str, doing: str, error: ApiException) -> ClusterError:
    """What an answer means that refuses."""
    said = said_by(error)
    if error.status == 401:
        return ClusterError(f"{endpoint}: who asks was not accepted while {doing} (401: {said}); log in {HOW_TO_LOG_IN}")
    # Uploads that are not permitted are answered by the real server with 400.
    if error.status == 403 or (error.status == 400 and re.search(r"authoriz|permission|\bdenied\b", said, re.IGNORECASE)):
        return ClusterError(
            f"{endpoint}: permission refused while {doing} ({error.status}: {said}); ask its administrator for the role "
            "kubeflow-edit in the namespace, or choose another with --namespace"
        )
    if error.status == 400:
        return ClusterError(f"{endpoint}: rejected while {doing} (400): {said}")
    return ClusterError(f"{endpoint}: answered {error.status} while {doing}: {said}")


def said_by(error: ApiException) -> str:
    """The server's own words."""
    try:
        body = json.loads(error.body)
        told = body.get("error_message") or body.get("message") or body.get("error") or error.body
    except (ValueError, TypeError, AttributeError):
        told = error.body or error.reason
    return " ".join(str(told).split())[:_SHOWN_CHARS]


def unreachable(endpoint: str, error: Exception, may_have_acted: bool = False) -> ClusterError:
    """Why no answer came; ``may_have_acted`` is of a request that would have changed something."""
    reason = getattr(error, "reason", None) or error
    where = f"{endpoint}: Kubeflow Pipelines cannot be reached"
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return ClusterError(f"{where}: there is no such host; check --endpoint. {HOW_TO_REACH}")
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return ClusterError(f"{where}: nothing listens there; is it running, and the port right? {HOW_TO_REACH}")
    if isinstance(reason, urllib3.exceptions.SSLError):
        return ClusterError(f"{where}: its certificate is not trusted ({reason}); give --ca-file the authority that signed it")
    acted = "; whether the request was carried out is not known, `winnow runs` shows it" if may_have_acted else ""
    if isinstance(reason, urllib3.exceptions.TimeoutError):
        return ClusterError(f"{where}: no answer within the time limit; is a firewall between, or a proxy?{acted}")
    return ClusterError(f"{where}: the connection broke off ({reason}){acted}")


def not_kubeflow(endpoint: str, found: bytes | str) -> ClusterError:
    """Something answers that does not speak the API."""
    text = found.decode(errors="replace") if isinstance(found, bytes) else found
    kind = "a web page" if re.search(r"<html|<!doctype", text, re.IGNORECASE) else f"{' '.join(text.split())[:80]!r}"
    return ClusterError(
        f"{endpoint}: found {kind}, wanted the API of Kubeflow Pipelines; check --endpoint (with its path, such as /pipeline). "
        f"If it is the login page of a Kubeflow, log in {HOW_TO_LOG_IN}"
    )


def too_old(endpoint: str, version: str) -> ClusterError:
    """The backend cannot take our pipelines."""
    wanted = ".".join(map(str, OLDEST))
    return ClusterError(
        f"{endpoint}: found Kubeflow Pipelines {version}, wanted {wanted} or later, which takes pipelines of schema 2.1.0; "
        "upgrade the cluster's installation"
    )

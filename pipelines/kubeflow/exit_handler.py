"""Report how a run has ended, whatever happened: a line in the log, and where one is wanted a POST to a webhook.

It starts without TFX, so that nothing that may have broken the run keeps it from being reported.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from pipelines.kubeflow.node_spec import WEBHOOK_ENV

ATTEMPTS, TIMEOUT_S, PAUSE_S = 3, 10.0, 2.0
SUCCESS = ("SUCCEEDED", "COMPLETE")
logger = logging.getLogger("winnow.exit_handler")


def outcome(pipeline: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """What is reported of a run whose final status the backend gives as ``status``: an object, or JSON of one."""
    error = status.get("error") or {}
    state = str(status.get("state", "UNKNOWN"))
    return {
        "pipeline": pipeline,
        "run": status.get("pipelineJobResourceName", ""),
        "state": state,
        "succeeded": state in SUCCESS,
        "error": error.get("message", "") if isinstance(error, Mapping) else str(error),
    }


def status_in(executor_input: str) -> Mapping[str, Any]:
    """The final status among the inputs, which older backends give as JSON in a string."""
    status = json.loads(executor_input).get("inputs", {}).get("parameterValues", {}).get("status", {})
    status = json.loads(status) if isinstance(status, str) else status
    return status if isinstance(status, Mapping) else {}


def post(url: str, document: Mapping[str, Any], pause_s: float = PAUSE_S) -> bool:
    """Whether the webhook has taken the document, in a few attempts. The URL may hold a secret: it is never shown."""
    if urlsplit(url).scheme not in ("http", "https"):
        logger.error("webhook: found a URL that is not http or https; the outcome was not posted")
        return False
    request = Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})  # noqa: S310  checked above
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urlopen(request, timeout=TIMEOUT_S):  # noqa: S310  checked above
                return True
        except (URLError, OSError) as error:
            reason = getattr(error, "code", None) or getattr(error, "reason", None) or type(error).__name__
            logger.warning("webhook: attempt %d of %d failed: %s", attempt, ATTEMPTS, reason)
            if attempt < ATTEMPTS:
                time.sleep(pause_s)
    return False


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor_input", required=True)
    parser.add_argument("--pipeline", required=True)
    arguments = parser.parse_args()
    reported = outcome(arguments.pipeline, status_in(arguments.executor_input))
    logger.log(logging.INFO if reported["succeeded"] else logging.ERROR, "%s", json.dumps(reported))
    url = os.environ.get(WEBHOOK_ENV)
    if url and not post(url, reported):
        raise SystemExit("the outcome was not posted to the webhook; it is in the line above")


if __name__ == "__main__":
    main()

"""The smallest client of TensorFlow Serving's REST API, for checks and for the command line."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from components.errors import ServingError

TIMEOUT_S = 30.0


def predict_body(inputs: Mapping[str, Any], signature: str) -> str:
    """The JSON of a predict request in column form."""
    return json.dumps({"signature_name": signature, "inputs": inputs})


def predict_path(model: str, version: int | None) -> str:
    """Where a model is asked; without a version, the highest that is served."""
    return f"/v1/models/{model}:predict" if version is None else f"/v1/models/{model}/versions/{version}:predict"


def rest_predict(url: str, model: str, inputs: Mapping[str, Any], signature: str, version: int | None = None) -> dict[str, Any]:
    """The ``outputs`` of a model.

    Args:
      url: root of the REST API, such as ``http://127.0.0.1:8501``.

    Raises:
      ServingError: the server cannot be reached or refuses; names what it said.
    """
    target = url + predict_path(model, version)
    if not target.startswith(("http://", "https://")):
        raise ServingError(f"found the URL {url!r}, wanted one that begins with http:// or https://")
    body = predict_body(inputs, signature).encode()
    request = urllib.request.Request(target, body, {"Content-Type": "application/json"})  # noqa: S310  checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)["outputs"]
    except urllib.error.HTTPError as error:
        raise ServingError(f"{target}: answered {error.code}: {error.read().decode(errors='replace')[:500]}") from error
    except (OSError, ValueError) as error:
        raise ServingError(
            f"{target}: no answer ({error}); is a model server running there? `winnow serve` starts one"
        ) from error

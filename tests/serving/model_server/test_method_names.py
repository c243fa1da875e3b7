"""Signatures that answer only the call that their method name tells of, where that is asked for."""

from collections.abc import Callable
from pathlib import Path

import httpx

from serving.model_server.model_config import ModelConfig
from serving.model_server.process import EmbeddedServer


def test_method_names_count_where_that_is_asked_for(
    saved_models: Path, tmp_path: Path, publish: Callable[[Path, Path, int], Path]
) -> None:
    for name in ("half", "judge"):
        publish(saved_models / name, tmp_path / name, 1)
    models = [ModelConfig(name, tmp_path / name) for name in ("half", "judge")]
    flags = ["--enable_signature_method_name_check", "--tensorflow_session_parallelism=1", "--saved_model_tags=serve"]
    with EmbeddedServer(models, flags=flags) as server:

        def ask(path: str, signature: str) -> httpx.Response:
            body = f'{{"signature_name": "{signature}", "examples": [{{"x": 2.0}}]}}'
            return httpx.post(f"{server.rest_url}/v1/models/{path}", content=body, timeout=60)

        assert ask("half:regress", "regress_x_to_y").json() == {"results": [3.0]}
        assert ask("half:classify", "classify_x_to_y").json() == {"results": [[["", 3.0]]]}
        # What TensorFlow 2 saves is all for Predict.
        assert ask("judge:classify", "serving_default").json() == {
            "error": "Expected classification signature method_name to be tensorflow/serving/classify. "
            "Was: tensorflow/serving/predict"
        }
        assert ask("judge:regress", "regress").json() == {
            "error": "Expected regression signature method_name to be tensorflow/serving/regress. "
            "Was: tensorflow/serving/predict"
        }
        assert ask("half:regress", "classify_x_to_y").status_code == 400
        body = '{"signature_name": "__saved_model_init_op", "inputs": {}}'
        assert httpx.post(f"{server.rest_url}/v1/models/judge:predict", content=body).status_code == 400

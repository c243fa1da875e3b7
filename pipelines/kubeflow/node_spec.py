"""What a node's settings are in Kubeflow's terms: of its task, of its container, and of its pod."""

from typing import Any

from pipelines.beam_profiles import LocalBeam
from pipelines.kubeflow.settings import CHIEF_LABEL, EXIT_HANDLER, TRAINERS, KubeflowSettings, NodeSettings, seconds
from pipelines.kubeflow.staging import SHARED_ENV

WEBHOOK_ENV = "WINNOW_WEBHOOK_URL"


def retry_policy(node: NodeSettings) -> dict[str, Any] | None:
    retries = node.retries
    if not retries.count:
        return None
    return {
        "maxRetryCount": retries.count,
        "backoffDuration": f"{seconds(retries.backoff)}s",
        "backoffFactor": retries.factor,
        "backoffMaxDuration": f"{seconds(retries.max_backoff)}s",
    }


def container(name: str, settings: KubeflowSettings) -> dict[str, Any]:
    """Image, resources and plain environment variables."""
    node = settings.node(name)
    resources: dict[str, Any] = {
        key: value
        for key, value in (
            ("resourceCpuRequest", node.cpu.request),
            ("resourceCpuLimit", node.cpu.limit),
            ("resourceMemoryRequest", node.memory.request),
            ("resourceMemoryLimit", node.memory.limit),
        )
        if value is not None
    }
    if node.gpu:
        resources["accelerator"] = {"resourceType": node.gpu_resource, "resourceCount": str(node.gpu)}
    store = settings.object_store
    environment = {
        **({SHARED_ENV: shared} if (shared := shared_folder(name, settings)) else {}),
        **({"TF_CONFIG": settings.training.tf_config} if name in TRAINERS and settings.training else {}),
        **({"AWS_ENDPOINT_URL": store.endpoint} if store.endpoint else {}),
        **({"AWS_REGION": store.region} if store.region else {}),
        **node.env,
    }
    return {
        "image": node.image or settings.image,
        **({"resources": resources} if resources else {}),
        **({"env": [{"name": name, "value": environment[name]} for name in sorted(environment)]} if environment else {}),
    }


def shared_folder(name: str, settings: KubeflowSettings) -> str | None:
    """Where a node keeps its artifacts while it works, if others must see them: those that train with it, or Beam's workers."""
    if name in TRAINERS and settings.training:
        return settings.training.shared
    return None if isinstance(settings.beam, LocalBeam) or settings.beam.shared is None else str(settings.beam.shared)


def pod(name: str, settings: KubeflowSettings) -> dict[str, Any]:
    """The node's part of the Kubernetes platform spec (kfp-kubernetes' KubernetesExecutorConfig)."""
    node = settings.node(name)
    as_env = [_as_env(secret.name, secret.env) for secret in node.secrets if secret.env]
    if name == EXIT_HANDLER and settings.webhook:
        as_env.append(_as_env(settings.webhook.secret, {settings.webhook.key: WEBHOOK_ENV}))
    parts: dict[str, Any] = {
        "imagePullPolicy": settings.image_pull_policy,
        "imagePullSecret": [_secret(secret) for secret in settings.image_pull_secrets],
        "secretAsEnv": as_env,
        "secretAsVolume": [
            {**_secret(secret.name), "mountPath": secret.mount, "optional": False} for secret in node.secrets if secret.mount
        ],
        "pvcMount": [
            {"constant": volume.claim, "pvcNameParameter": _constant(volume.claim), "mountPath": volume.mount}
            for volume in node.volumes
        ],
        "nodeSelector": {"labels": dict(node.node_selector)} if node.node_selector else None,
        "tolerations": [
            {
                **{key: value for key in ("key", "operator", "value", "effect") if (value := getattr(toleration, key))},
                **({"tolerationSeconds": str(toleration.seconds)} if toleration.seconds is not None else {}),
            }
            for toleration in node.tolerations
        ],
        "podMetadata": {"labels": CHIEF_LABEL} if name in TRAINERS and settings.training else None,
        "activeDeadlineSeconds": str(seconds(node.timeout)) if node.timeout else None,
    }
    return {key: value for key, value in parts.items() if value}


def _as_env(secret: str, env: dict[str, str]) -> dict[str, Any]:
    pairs = [{"secretKey": key, "envVar": variable} for key, variable in sorted(env.items())]
    return {**_secret(secret), "keyToEnv": pairs, "optional": False}


def _secret(name: str) -> dict[str, Any]:
    """A secret's name, twice: as backends before and after 2.5 read it."""
    return {"secretName": name, "secretNameParameter": _constant(name)}


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}

"""The kind of model that every section of the settings is."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, and unknown keys are refused, so that a misspelt key is an error and not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

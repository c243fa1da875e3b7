"""What can be set of the writer; every key has a default."""

from typing import Self

from pydantic import Field, model_validator

from components.config.settings import Settings


class LogWriterSettings(Settings):
    """A file is written when enough entries are gathered, or the first of them has waited long enough."""

    max_entries: int = Field(default=10_000, ge=1)
    max_wait_s: float = Field(default=10, ge=0)
    claim_after_s: float = Field(
        default=60, gt=0, description="entries that a writer has had for so long without writing them are taken over"
    )

    @model_validator(mode="after")
    def _gathering_is_not_dying(self) -> Self:
        if self.claim_after_s <= self.max_wait_s:
            raise ValueError(
                f"claim_after_s is {self.claim_after_s:g} and max_wait_s {self.max_wait_s:g}: a writer that gathers would "
                "count as dead; wanted claim_after_s above max_wait_s"
            )
        return self

"""Options that say how a field spells its date or time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from elspeth.schema.text_forms import Ambiguous, DateForm, Nonexistent


class DateOptions(BaseModel):
    """How one field spells its date or time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str | None = Field(
        default=None, min_length=1, description="As strftime has it: `%d.%m.%Y %H:%M`; ISO 8601 if not given."
    )
    timezone: str | None = Field(
        default=None, description="The IANA zone, such as `Europe/Berlin`, of times that come without an offset."
    )
    ambiguous: Ambiguous = Field(
        default="refuse", description="Which time is meant in the hour that the zone's clocks show twice."
    )
    nonexistent: Nonexistent = Field(
        default="refuse",
        description="What becomes of a time in the hour that clocks leave out: moved by as much as they leave out.",
    )
    years_from: int | None = Field(
        default=None, ge=1, le=9900, description="The year in which the hundred years begin that `%y` means."
    )

    @property
    def form(self) -> DateForm:
        """The same for whoever reads such texts."""
        return DateForm(**self.model_dump())

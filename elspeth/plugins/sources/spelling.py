"""Options of file sources that say how texts spell numbers, dates and words for true and false."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from elspeth.plugins.contract import PluginOptions
from elspeth.plugins.date_options import DateOptions
from elspeth.schema import RowSchema, compile_reader
from elspeth.schema.text_forms import TextForms

Word = Annotated[str, Field(min_length=1)]


class SpellingOptions(PluginOptions):
    """How texts of an input become typed values of its schema."""

    dates: dict[str, DateOptions] = Field(
        default={}, description="How a field spells its date or time, by the name it has in rows."
    )
    decimal_comma: bool = Field(default=False, description="Numbers are written `12,5`.")
    thousands_separator: str | None = Field(
        default=None, min_length=1, max_length=1, description="What sets thousands apart: `.` in `1.234.567,89`."
    )
    true_values: tuple[Word, ...] = Field(
        default=(), description="The words for true, in any case, in place of true, yes and 1."
    )
    false_values: tuple[Word, ...] = Field(
        default=(), description="The words for false, in any case, in place of false, no and 0."
    )

    @property
    def forms(self) -> TextForms | None:
        """How texts are spelled, None if as everywhere."""
        dates = {name: date.form for name, date in self.dates.items()}
        forms = TextForms(
            dates, self.decimal_comma, self.thousands_separator, self.true_values, self.false_values
        )  # fmt: skip
        return forms if forms != TextForms() else None

    @model_validator(mode="after")
    def _forms_fit_the_schema(self) -> SpellingOptions:
        if self.forms is not None:
            try:
                schema = RowSchema.parse(self.schema_)
            except ValueError:
                return self  # who reads the schema says what is wrong with it
            compile_reader(schema, self.forms)
        return self

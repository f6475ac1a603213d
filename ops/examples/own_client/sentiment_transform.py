"""A transform that asks a service by its own client, on record: no answer that was used is asked for again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from elspeth.plugins.contract import Context, Determinism, PluginOptions, Row, RowError, Transform

sys.path.insert(0, str(Path(__file__).parent))  # the client lies beside this file; yours is a package
from sentiment_client import SentimentClient


class SentimentOptions(PluginOptions):
    """Which service."""

    region: str = Field(default="eu", description="Where the service runs.")


class SentimentStep(Transform):
    """Adds the mood of `text`, as a service sees it."""

    name: ClassVar[str] = "sentiment"
    determinism: ClassVar[Determinism] = "nondeterministic"
    Options = SentimentOptions
    options: SentimentOptions

    def setup(self, ctx: Context) -> None:
        """Makes the client: once per process, so that it may keep its connections."""
        self._client = SentimentClient(self.options.region)

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with mood and confidence. Raises `RowError` where there is no text to ask about."""
        text = row.get("text")
        if not text:
            raise RowError("there is no text to ask about")

        def ask() -> dict[str, Any]:
            found = self._client.sentiment(text)
            return {"mood": found.mood, "confidence": found.confidence}  # plain data: this goes on record

        answer = ctx.recorded("sentiment", {"region": self.options.region, "text": text}, ask)
        return {**row, **answer}

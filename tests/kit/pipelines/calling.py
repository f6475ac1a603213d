"""A pipeline each row of which asks a service that is set up for the test."""

from __future__ import annotations

from pathlib import Path

ASK = '''
"""A step that asks the provider `main` about its row."""

from decimal import Decimal

from elspeth.calls.model import Chat, Message, Price, Terms, Usage
from elspeth.plugins.contract import PluginOptions, Transform

PRICE = Price(input_per_million=Decimal(1000), output_per_million=Decimal(1000))


class AskOptions(PluginOptions):
    on_unknown: str | None = None
    record: str = "full"


class Ask(Transform):
    name = "ask"
    determinism = "nondeterministic"
    Options = AskOptions

    def process(self, row, ctx):
        chat = Chat(model="m", messages=(Message("user", f"about {row['id']}"),))
        options = self.options
        terms = Terms(price=PRICE, expected=Usage(10, 10), on_unknown=options.on_unknown, record=options.record)
        return {**row, "answer": ctx.call("main", chat, terms=terms).text}
'''

SETTINGS = """\
plugins: [ask.py]
source:
  plugin: csv
  options: {{path: input.csv, schema: {{mode: fixed, fields: ["id: int"]}}}}
  on_validation_failure: discard
providers:
  main: {{kind: openai, base_url: "{url}", api_key: "${{CALLS_KEY}}", {provider}}}
transforms:
  - {{name: ask, plugin: ask, pool_size: {pool}, on_error: refused, options: {{{options}}}}}
sinks:
  out: {{plugin: csv, options: {{path: output/out.csv}}}}
  refused: {{plugin: json, options: {{path: output/refused.jsonl, format: jsonl}}}}
default_sink: out
"""

KEY = "sk-a-key-that-is-nowhere-else"


def lay(
    folder: Path, url: str, rows: int, *, pool: int = 50, provider: str = "", options: str = "", more: str = ""
) -> Path:
    """A folder with the pipeline and its input; `more` are further sections of the settings."""
    folder.mkdir(parents=True)
    (folder / "ask.py").write_text(ASK)
    text = SETTINGS.format(url=url, pool=pool, provider=provider, options=options)
    (folder / "pipeline.yaml").write_text(text + more)
    (folder / "input.csv").write_text("id\n" + "".join(f"{row}\n" for row in range(rows)))
    return folder

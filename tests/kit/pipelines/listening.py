"""A plugin file with a source that a test feeds row by row."""

from __future__ import annotations

LISTENING = '''
"""A source that waits for a file before each row, as one does that listens to something."""

import time
from pathlib import Path

from elspeth.plugins.contract import PluginOptions, Source


class Options(PluginOptions):
    folder: str


class Listening(Source):
    name = "listening"
    Options = Options

    def read(self, cursor):
        number = cursor or 0
        while True:
            while not (path := Path(self.options.folder) / str(number)).exists():
                time.sleep(0.01)
            if path.read_text() == "end":
                return
            number += 1
            yield {"n": number - 1}, number
'''

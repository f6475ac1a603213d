"""Debian's chromium, driven by the Chrome DevTools Protocol over pipes: what a person would see and do in a page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until

CHROMIUM = shutil.which("chromium")


class Browser:
    """A running chromium with one page. `said` is what the page wrote to its console, errors included."""

    def __init__(self, process: subprocess.Popen[bytes], inbox: int, outbox: int) -> None:
        self._process = process
        self._inbox = os.fdopen(inbox, "rb")
        self._outbox = os.fdopen(outbox, "wb", buffering=0)
        self._answers: dict[int, dict[str, Any]] = {}
        self._come = threading.Condition()
        self._asked = 0
        self._session = ""
        self.said: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Carry out a command of the protocol."""
        with self._come:
            self._asked += 1
            number = self._asked
        words: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            words["sessionId"] = self._session
        self._outbox.write(json.dumps(words).encode() + b"\0")
        with self._come:
            assert self._come.wait_for(lambda: number in self._answers, PATIENCE_SECONDS), f"no answer to {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        found: dict[str, Any] = answer["result"]
        return found

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self.evaluate("window.left = true")
        self.call("Page.navigate", url=address)
        self.wait("!window.left && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """What an expression of JavaScript comes to, in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true. A page that is on its way elsewhere is no answer."""

        def value() -> bool:
            answer = self.call("Runtime.evaluate", expression=f"Boolean({script})", returnByValue=True)
            return "exceptionDetails" not in answer and answer["result"]["value"] is True

        try:
            wait_until(value, script)
        except AssertionError as error:
            shown = self.call("Runtime.evaluate", expression="document.body.innerText", returnByValue=True)
            raise AssertionError(f"{error}; the page: {shown}; said: {self.said}") from error

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that fits, as a mouse does: what lies over it is what is clicked."""
        self.evaluate(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center', inline: 'center'}})"
        )
        x, y = self.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        """Press a key where the focus is."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def look(self, width: int, *, dark: bool) -> None:
        """See the page on a screen of this width, in one of both colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, target: Path, *, most: int = 6000) -> None:
        """The page as a PNG file, from its top down to `most` pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most), "scale": 1}
        shown = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(base64.b64decode(shown["data"]))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._outbox.close()
        self._reading.join()
        self._inbox.close()

    def _read(self) -> None:
        rest = b""
        while piece := os.read(self._inbox.fileno(), 1 << 20):
            *whole, rest = (rest + piece).split(b"\0")
            for text in whole:
                self._take(json.loads(text))

    def _take(self, found: dict[str, Any]) -> None:
        if "id" in found:
            with self._come:
                self._answers[found["id"]] = found
                self._come.notify_all()
        elif found["method"] == "Runtime.exceptionThrown":
            self.said.append(str(found["params"]["exceptionDetails"]))
        elif found["method"] == "Runtime.consoleAPICalled":
            self.said.append(str([one.get("value") for one in found["params"]["args"]]))
        elif found["method"] == "Log.entryAdded":
            self.said.append(str(found["params"]["entry"]["text"]))


@contextmanager
def browser(profile: Path, after: Callable[[], None] = lambda: None) -> Iterator[Browser]:
    """A chromium with a profile of its own, for as long as the block lasts."""
    assert CHROMIUM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    profile.mkdir(parents=True, exist_ok=True)
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", CHROMIUM, "--headless", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
             f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(theirs_in, theirs_out),
        )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    found = Browser(process, ours_in, ours_out)
    try:
        yield found
    finally:
        found.close()
        after()

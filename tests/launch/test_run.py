"""A signal stops `make run` at any time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from dashboard.launch.processes import claim_port

ROOT = Path(__file__).resolve().parents[2]


def test_stop_signal_before_it_is_up_ends_it_with_status_0(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "dashboard.launch", "run"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path), "PORT": str(claim_port(0))},
    ) as process:
        while not (tmp_path / "keys.json").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0

"""What a training asks of the system's memory."""

import subprocess
import sys

import pytest

HELD = """
import ctypes, sys, torch
from pathlib import Path
from pplkit.models.prior.config import Config
from pplkit.training.tasks.prior import largest_map
from pplkit.training.runtime import keep_memory
try:
    ctypes.CDLL(None).mallopt
except AttributeError:
    sys.exit("no glibc")
held = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096
keep_memory(largest_map(Config.preset("puppets").replace(batch_size=int(sys.argv[1]))))
before = held()
blocks = [torch.ones(2**21) for _ in range(10)]  # 8 MB each
del blocks
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="how much a process holds is read from Linux")
@pytest.mark.parametrize(("images", "keeps"), [(32, True), (256, False)], ids=["small", "large"])
def test_a_small_network_keeps_what_a_step_frees_and_a_large_one_gives_it_back(images: int, keeps: bool) -> None:
    """80 MB are made and freed."""
    done = subprocess.run([sys.executable, "-c", HELD, str(images)], capture_output=True, text=True)
    if "no glibc" in done.stderr:
        pytest.skip("no glibc here")
    assert done.returncode == 0, done.stderr
    assert (int(done.stdout) > 60e6) is keeps

"""The override under DDP, in two processes."""
import subprocess
import sys
from pathlib import Path


def test_two_processes_keep_the_same_parameters():
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone',
         '--nproc-per-node', '2',
         str(Path(__file__).with_name('ddp_training.py'))],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('same parameters') == 2

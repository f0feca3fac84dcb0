"""The kernel of the CPU in several threads and processes."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.data import DataLoader

from acon_mm import AconC


class Activated:
    """A data set whose samples go through an activation."""

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.act(torch.full((1, 2, 200, 200), index - 1.5)).detach()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_workers_that_are_forked_after_its_use(two_threads):
    data = Activated(AconC(2, init='paper'))
    here = [data[i] for i in range(4)]
    loader = DataLoader(data, num_workers=2, timeout=60,
                        multiprocessing_context='fork')
    for ours, theirs in zip(here, loader, strict=True):
        assert torch.equal(ours, theirs[0])


def test_threads_that_call_it_at_once(two_threads):
    act = AconC(3, init='paper')
    images = [torch.randn(2, 3, 150, 150) for _ in range(4)]

    def run(x):
        x = x.clone().requires_grad_()
        y = act(x)
        return y, *torch.autograd.grad(y.sum(), [x, *act.parameters()])

    alone = [run(x) for x in images]
    with ThreadPoolExecutor(4) as pool:
        together = [*pool.map(run, images * 3)]
    for i, results in enumerate(together):
        for one, other in zip(results, alone[i % 4], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize('threads', ['1', '2'])
def test_the_environment_tells_the_threads(threads):
    code = """if True:
        import torch
        from acon_mm.functional import acon
        from acon_mm.functional.cpu import op as native
        assert native.unavailable() is None
        x = torch.linspace(-9, 9, 6 * 250 * 250).view(2, 3, 250, 250)
        y = acon(x, 1.5, .1, 2.)
        print(torch.get_num_threads(), y.double().sum().item())"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True,
        text=True, env=dict(os.environ, OMP_NUM_THREADS=threads))
    x = torch.linspace(-9, 9, 6 * 250 * 250).double()
    y = 1.4 * x * (2 * 1.4 * x).sigmoid() + .1 * x
    count, total = done.stdout.split()
    assert count == threads, done.stderr
    assert float(total) == pytest.approx(y.sum().item(), rel=1e-5)

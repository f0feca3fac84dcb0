"""MMEngine's checkpoints load under torch's safe loading; others do not."""

import contextlib
import functools
import importlib
import operator
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner

from acon_mm.checkpoints import load_released
from acon_mm.checkpoints.safe_globals import register_safe_globals
from acon_mm.functional.torch_versions import VERSION

register_safe_globals()

pytestmark = pytest.mark.skipif(
    VERSION < (2, 4), reason='PyTorch before 2.4 has no list of safe types')


class Calls:
    """An object whose pickle calls ``function(*args)`` when it is read."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args, state)

    def __call__(self):
        """What is called must be callable when it is pickled."""

    def __reduce__(self):
        return self.call


class TinyModel(BaseModel):
    """One weight, trained towards zero."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, *inputs, mode='tensor'):
        return dict(loss=self.linear(torch.stack(inputs)).square().sum())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Checkpoint of a real run, and the losses that its message hub holds."""
    work_dir = tmp_path_factory.mktemp('run')
    runner = Runner(
        TinyModel(),
        str(work_dir),
        experiment_name=work_dir.name,
        train_dataloader=dict(
            batch_size=2,
            dataset=[torch.ones(1)] * 6,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1, momentum=.9)),
        param_scheduler=dict(type='LinearLR', start_factor=.5),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        randomness=dict(seed=0))
    # as a metric's best value is kept
    runner.message_hub.update_info('best_score', np.float32(.5))
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    return work_dir / 'epoch_1.pth', losses


# the package alone is imported, as a config that names its scope does
READ = """
import sys
from pickle import UnpicklingError
from mmengine.runner import CheckpointLoader
try:
    CheckpointLoader.load_checkpoint(sys.argv[1])
except UnpicklingError:
    print('refused')
import acon_mm
hub = CheckpointLoader.load_checkpoint(sys.argv[1])['message_hub']
losses = hub['log_scalars']['train/loss'].data[0]
print(*losses, hub['runtime_info']['best_score'])
"""


def test_a_fresh_process_reads_a_runner_checkpoint(trained):
    checkpoint, losses = trained
    process = subprocess.run([sys.executable, '-c', READ, checkpoint],
                             capture_output=True,
                             text=True)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    # MMEngine's fork says that it runs what it cannot read otherwise
    assert 'refused' in lines or any(
        'Falling back to weights_only=False' in line for line in lines)
    assert [float(word) for word in lines[-1].split()] == [*losses, .5]
    assert len(losses) == 3 and len(set(losses)) == 3


@pytest.mark.parametrize('dtype', ['?', 'i1', 'u2', 'i8', 'f2', 'f4', 'f8'])
def test_numbers_of_numpy_survive(tmp_path, dtype):
    array = np.arange(3).astype(dtype)
    torch.save(dict(array=array, scalar=array[1]), tmp_path / 'c.pth')
    read = torch.load(tmp_path / 'c.pth', weights_only=True)
    assert read['array'].dtype == read['scalar'].dtype == dtype
    assert read['array'].tolist() == array.tolist()
    assert read['scalar'] == array[1]


def test_statistics_work_after_loading(tmp_path):
    torch.save(HistoryBuffer([1., 4., 3.], [1, 1, 2]), tmp_path / 'c.pth')
    buffer = torch.load(tmp_path / 'c.pth', weights_only=True)
    assert buffer.statistics('min') == 1 and buffer.statistics('max') == 4
    assert buffer.statistics('current') == 3
    assert buffer.mean() == 2  # (1 + 4 + 3) over the counts 1 + 1 + 2


@pytest.mark.parametrize('pickled', [
    Calls(getattr, np.ndarray, 'tofile'),
    Calls(getattr, HistoryBuffer, 'register_statistics'),
    Calls(getattr, HistoryBuffer, '__init__'),
    Calls(getattr, Calls(getattr, HistoryBuffer, 'min'), '__globals__'),
    Calls(eval, '1'),
])
def test_any_other_attribute_or_call_is_refused(tmp_path, pickled):
    torch.save(pickled, tmp_path / 'c.pth')
    with pytest.raises(UnpicklingError, match='weights_only'):
        torch.load(tmp_path / 'c.pth', weights_only=True)


# what would make the folder `trace` if torch were not careful
PAYLOADS = {
    'a command': lambda trace: Calls(os.system, f'mkdir {trace}'),
    'a process': lambda trace: Calls(subprocess.call, ['mkdir', trace]),
    'a function': lambda trace: Calls(os.mkdir, trace),
    'an expression': lambda trace: Calls(
        eval, f'__import__("os").mkdir({trace!r})'),
    'a statement': lambda trace: Calls(
        exec, f'import os; os.mkdir({trace!r})'),
    'an attribute': lambda trace: Calls(Calls(
        getattr, Calls(importlib.import_module, 'os'), 'mkdir'), trace),
    'a method': lambda trace: Calls(Calls(
        operator.methodcaller, 'mkdir'), Path(trace)),
    'deep in the weights': lambda trace: dict(state_dict=OrderedDict(
        weight=torch.ones(1), more=[dict(a=(Calls(os.mkdir, trace), ))])),
    'beside a tensor': lambda trace: dict(
        meta=dict(cfg=Calls(os.mkdir, trace)), state_dict={}),
    'a file of numpy': lambda trace: Calls(
        np.memmap, trace, np.uint8, 'w+', 0, (1, )),
    'a test of numpy': lambda trace: Calls(
        np.testing.runstring, f'import os; os.mkdir({trace!r})', {}),
    'an array of objects': lambda trace: np.array([Calls(os.mkdir, trace)]),
    'a buffer of history': lambda trace: Calls(
        HistoryBuffer, Calls(os.mkdir, trace)),
    'a state of it': lambda trace: Calls(
        HistoryBuffer, state=dict(log=Calls(os.mkdir, trace))),
    'a number': lambda trace: Calls(
        np.float64(0).__reduce__()[0], np.dtype('f8'),
        Calls(os.mkdir, trace)),
    'a checkpoint in it': lambda trace: Calls(
        pickle.loads, pickle.dumps(Calls(os.mkdir, trace))),
}


@pytest.mark.parametrize('name', PAYLOADS)
def test_code_in_a_checkpoint_does_not_run(name, tmp_path):
    trace, path = tmp_path / 'trace', str(tmp_path / 'c.pth')
    torch.save(PAYLOADS[name](str(trace)), path)
    for read in (CheckpointLoader.load_checkpoint, load_released,
                 functools.partial(torch.load, weights_only=True)):
        with pytest.raises((UnpicklingError, ValueError)):
            read(path)
        assert not trace.exists()
    # the same file does run it once safe loading is off
    with contextlib.suppress(TypeError, ValueError):
        torch.load(path, weights_only=False)
    assert trace.exists()

"""Training in two processes is that of one with both batches."""
import ast
import importlib
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fsdp_training import Net
from mim.commands.train import cli as mim_train
from torch.distributed.run import get_args_parser

from acon_mm import MetaAconC, beta_net

TESTS = Path(__file__).parent
PAGE = TESTS.parent / 'docs/distributed.md'
LAUNCH = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node',
          '2']
CONFIGS = dict(
    retinanet='retinanet_r18-metaacon_fpn_400i_shapes',
    mask_rcnn='mask-rcnn_r18-metaacon_fpn_400i_shapes',
    pspnet='pspnet_r18-d8-metaacon_200i_shapes')


def run(*words, rc=0):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', *map(str, words)],
        capture_output=True, text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='-1'))
    assert (done.returncode == 0) == (rc == 0), (
        done.stdout[-3000:] + done.stderr[-3000:])
    return done


def test_two_processes_keep_the_same_parameters():
    done = run(*LAUNCH, TESTS / 'ddp_training.py')
    assert done.stdout.count('same parameters') == 2


@pytest.fixture
def train(shapes_coco, shapes_cityscapes, tmp_path):
    """``train('pspnet', name, processes=2, ...)``; the folder of the run."""

    def call(task, name, processes=1, rc=0, **settings):
        data = shapes_cityscapes if task == 'pspnet' else shapes_coco
        work_dir = tmp_path / name
        settings = dict(dict(placement='paper'), **settings,
                        config=CONFIGS[task], data=str(data),
                        work_dir=str(work_dir))
        run(*LAUNCH * (processes == 2), TESTS / 'distributed_run.py',
            json.dumps(settings), rc=rc)
        return work_dir

    return call


def weights(folder, epoch):
    return torch.load(folder / f'epoch_{epoch}.pth',
                      weights_only=False)['state_dict']


@pytest.mark.slow
@pytest.mark.parametrize('placement', ['paper', 'all'])
@pytest.mark.parametrize('task', CONFIGS)
def test_two_processes_do_what_one_does_with_both_batches(
        task, placement, train):
    """Which is to say: the same losses, and no parameter is unused."""
    one = train(task, 'one', placement=placement, epochs=2)
    two = train(task, 'two', 2, placement=placement, epochs=2)
    alone = json.loads((one / 'losses-0.json').read_text())
    assert len(alone) == 8 and len({*alone}) == 8
    for rank in range(2):
        losses = json.loads((two / f'losses-{rank}.json').read_text())
        assert losses == pytest.approx(alone[rank::2], rel=1e-3)
    ours, right = weights(two, 2), weights(one, 2)
    assert ours.keys() == right.keys()
    for key, value in right.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_run_whose_rank_was_killed_ends_as_an_undisturbed_one(train):
    whole = train('retinanet', 'whole', 2, epochs=3)
    # two steps an epoch: in the middle of the second
    killed = train('retinanet', 'killed', 2, rc=1, epochs=3, kill=3)
    assert (killed / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    assert not (killed / 'epoch_2.pth').exists()
    train('retinanet', 'killed', 2, epochs=3, resume=True)
    ours, right = weights(killed, 3), weights(whole, 3)
    first = weights(whole, 1)
    assert any(not torch.equal(first[k], right[k]) for k in right)
    for key, value in right.items():
        assert torch.equal(ours[key], value), key


@pytest.mark.slow
def test_what_fsdp_trains_and_saves_is_what_ddp_does(tmp_path):
    """MMEngine 0.10 cannot resume it, whatever the model: it hands the
    optimizer's state to PyTorch in another order."""
    states = []
    for strategy in ('FSDPStrategy', 'DDPStrategy'):
        run(*LAUNCH, TESTS / 'fsdp_training.py', strategy,
            tmp_path / strategy)
        saved = torch.load(tmp_path / strategy / 'epoch_2.pth',
                           weights_only=True)['state_dict']
        # MMEngine's strategy of DDP leaves its wrapper in the names
        states.append({key.removeprefix('module.'): value
                       for key, value in saved.items()})
    ours, right = states
    torch.manual_seed(0)
    start = Net().state_dict()
    assert ours.keys() == right.keys() == start.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, right[key], rtol=1e-4, atol=1e-5)
    for key in ('layers.2.p2', 'layers.5.p2', 'layers.5.fc2.bias'):
        assert (ours[key] - start[key]).abs().max() > 1e-3


def test_a_synchronized_norm_counts_the_images_of_all(monkeypatch):
    """With one image a process it has the statistics of all of them."""
    act = MetaAconC(8, norm_cfg=dict(type='SyncBN'))
    seen = []
    for norm in (act.bn1, act.bn2):
        monkeypatch.setattr(norm, 'forward',
                            lambda x: seen.append(x.shape) or x)
    image = torch.randn(1, 8, 3, 3)
    act(image)
    assert not seen
    monkeypatch.setattr(beta_net, 'get_world_size', lambda: 2)
    act(image)
    assert seen == [(1, 16, 1, 1), (1, 8, 1, 1)]


def commands():
    """The command lines of the page, as lists of words."""
    blocks = re.findall(r'```bash\n(.*?)```', PAGE.read_text(), re.DOTALL)
    lines = '\n'.join(blocks).replace('\\\n', ' ').splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def test_the_page_has_each_kind_of_launch():
    text = [' '.join(words) for words in commands()]
    for kind in ('--launcher pytorch', '--launcher slurm', 'torchrun --nnodes'
                 ):
        assert any(kind in line for line in text), kind


@pytest.mark.parametrize(
    'words', [words for words in commands() if words[0] == 'mim'],
    ids=' '.join)
def test_mim_takes_the_command_lines_of_the_page(words):
    assert words[:2] == ['mim', 'train']
    context = mim_train.make_context('train', words[2:])
    parsed = context.params
    assert parsed['launcher'] in ('pytorch', 'slurm') and parsed['gpus'] > 1
    assert parsed['package'] in ('mmdet', 'mmsegmentation')
    if parsed['launcher'] == 'slurm':
        assert parsed['partition'] and parsed['gpus_per_node']
    parse_train(parsed['package'], [parsed['config'], *parsed['other_args']])


@pytest.mark.parametrize(
    'words', [words for words in commands() if words[0] == 'torchrun'],
    ids=' '.join)
def test_torchrun_takes_the_command_lines_of_the_page(words):
    parsed = get_args_parser().parse_args(words[1:])
    assert parsed.nnodes == '2' and parsed.nproc_per_node == '8'
    assert parsed.rdzv_endpoint
    args = parse_train('mmdet', parsed.training_script_args)
    assert args.launcher == 'pytorch'


def parse_train(package, words):
    """What the training script of a codebase makes of its arguments."""
    name = dict(mmsegmentation='mmseg').get(package, package)
    folder = Path(importlib.import_module(name).__file__).parent
    script = runpy.run_path(str(folder / '.mim/tools/train.py'))
    before, sys.argv = sys.argv, ['train.py', *words]
    try:
        args = script['parse_args']()
    finally:
        sys.argv = before
    assert Path(args.config).suffix == '.py'
    for key in args.cfg_options or {}:
        assert re.fullmatch(r'[\w.]+', key)
        ast.parse(key)
    return args

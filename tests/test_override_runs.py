"""The runs that the override makes: what they may meet, what they leave."""
import gc
from pathlib import Path

import mmcv.ops
import mmdet
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.models import ResNet
from mmdet.models.dense_heads import tood_head
from mmengine.config import Config
from mmengine.registry import MODELS
from override_cases import Two, acons, swap, widths
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from acon_mm.probe.deformable import without_deformable_kernels
from acon_mm.probe.inputs import feeds
from acon_mm.probe.running import runnable

MMDET = Path(mmdet.__file__).parent / '.mim/configs/faster_rcnn'


class Counting(Two):
    """Computes another number each time."""
    runs = 0

    def forward(self, x):
        self.runs += 1
        return self.runs * super().forward(x)


def test_a_model_that_does_not_repeat_itself_is_swapped():
    model = Counting()
    assert len(swap(model).swapped) == 2
    assert widths(model) == dict(act1=6, act2=4)


def test_memory_that_nothing_has_filled_yet_is_kept():
    model = Two()
    nn.init.constant_(model.a.weight, torch.nan)
    nn.init.constant_(model.b.weight, 1e30)
    with runnable(model):
        for conv in (model.a, model.b):
            assert (conv.weight.abs() < 1).all()
    assert len(swap(model).swapped) == 2
    assert model.a.weight.isnan().all() and (model.b.weight == 1e30).all()


def test_a_model_without_memory_is_swapped():
    with torch.device('meta'):
        model = Two()
        assert len(swap(model).swapped) == 2
    assert widths(model) == {'act1': 6, 'act2': 4}  # the outer call is first
    assert all(p.is_meta for p in model.parameters())


class Remembering(Two):

    def __init__(self):
        super().__init__()
        self.register_buffer('steps', torch.zeros(()))
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x):
        self.steps += 1
        return self.relu(self.b(self.relu(self.bn(self.a(x)))))


def test_buffers_modes_gradients_and_random_numbers_stay():
    model = Remembering()
    model.bn.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    swap(model)
    assert all(torch.equal(model.state_dict()[k], v)
               for k, v in before.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training and not model.bn.training
    assert all(p.grad is None for p in model.parameters())


class Caching(Two):
    """Runs once and keeps the result, as SAN's text encoder does."""

    def __init__(self):
        super().__init__()
        self.cache, self.last = {}, None

    def forward(self, x):
        if not self.cache:
            self.cache[0] = super().forward(x)
            self.last, self.added = self.b, nn.Identity()
        return self.cache[0]


def test_what_a_run_keeps_is_gone_again():
    model = Caching()
    assert swap(model).left == []
    assert model.cache == {} and model.last is None
    assert not hasattr(model, 'added')
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    assert all(act.p1.grad is not None for act in acons(model).values())


def is_batch(thing):
    return (isinstance(thing, torch.Tensor) and thing.dim() == 4
            and thing.size(0) == 2)


@pytest.mark.parametrize('cls', [Two, ResNet])
def test_no_tensor_of_a_run_outlives_it(cls):
    model = cls(18) if cls is ResNet else cls()
    gc.collect()
    before = sum(map(is_batch, gc.get_objects()))
    gc.disable()  # nothing has to wait for it
    try:
        assert swap(model).swapped
        assert sum(map(is_batch, gc.get_objects())) == before
    finally:
        gc.enable()


@pytest.mark.parametrize('place', [mmcv.ops.deform_conv, tood_head])
def test_no_deformable_kernel_runs_under_any_name(place):
    kernel = place.deform_conv2d
    x, weight = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    with without_deformable_kernels():
        out = place.deform_conv2d(x, torch.randn(1, 18, 5, 5), weight, 1, 1)
        torch.testing.assert_close(out, F.conv2d(x, weight, padding=1))
    assert place.deform_conv2d is kernel


def test_no_input_is_larger_than_memory():
    layer = nn.Linear(4096, 1)
    sizes = []
    for feed in feeds(layer):
        try:
            (x, ), _ = feed.first()
        except ValueError as error:
            assert 'too large' in str(error)
        else:
            sizes.append(x.numel())
    assert sizes and max(sizes) <= 2**24


@pytest.mark.parametrize('divisor', [1, 32, 128])
def test_two_runs_have_images_of_two_sizes_after_padding(scope, divisor):
    scope('mmdet')
    cfg = Config.fromfile(MMDET / 'faster-rcnn_r50_fpn_1x_coco.py').model
    cfg.backbone.update(depth=18, init_cfg=None)
    cfg.neck.in_channels = [64, 128, 256, 512]
    cfg.data_preprocessor.pad_size_divisor = divisor
    feed = next(feeds(MODELS.build(cfg)))
    first, second = (
        make()[1]['inputs'].shape for make in (feed.first, feed.second))
    assert first[2] > second[2] and first[3] > second[3]
    assert first[2] % divisor == second[2] % divisor == 0


def test_an_untrained_first_stage_does_not_flood_the_second(scope):
    scope('mmdet')
    cfg = Config.fromfile(MMDET / 'faster-rcnn_r50_fpn_1x_coco.py').model
    cfg.backbone.update(depth=18, init_cfg=None)
    cfg.neck.in_channels = [64, 128, 256, 512]
    model = MODELS.build(cfg)
    asked = model.test_cfg.to_dict(), model.train_cfg.to_dict()
    regions = []
    model.roi_head.bbox_head.register_forward_pre_hook(
        lambda _, args: regions.append(len(args[0])))
    assert swap(model).swapped
    # 1000 for each image is what the config asks for
    assert regions and max(regions) <= 3 * 16
    assert (model.test_cfg.to_dict(), model.train_cfg.to_dict()) == asked
    assert model.roi_head.bbox_sampler.num == 512


class Detector(Two):
    """As torchvision's: a list of images, in training with targets."""

    def __init__(self):
        super().__init__()
        self.transform = GeneralizedRCNNTransform(800, 1333, [.5] * 3, [1] * 3)

    def forward(self, images, targets=None):
        assert all(image.shape[0] == 3 for image in images)
        images, targets = self.transform(images, targets)
        assert not self.training or all(
            target['masks'].any() and target['boxes'].shape == (1, 4)
            for target in targets)
        SIDES.append(max(images.tensors.shape))
        return super().forward(images.tensors)


SIDES = []


def test_torchvisions_detectors_are_seen_on_few_pixels():
    model = Detector()
    swap(model)
    assert widths(model) == dict(act1=6, act2=4)
    # both runs twice
    assert max(SIDES) <= 192 and len(SIDES) == 4
    assert model.transform.min_size == (800, )
    assert model.transform.max_size == 1333


class Frames(Two):
    """A video's frames come as a batch of images."""
    num_segments = 6

    def forward(self, x):
        return super().forward(x.view(-1, 6, *x.shape[1:]).flatten(0, 1))


class Fixed(nn.Module):
    """Its classifier fits one length and size of a clip alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 3, stride=8)
        self.fc, self.relu = nn.Linear(4 * 2 * 14 * 14, 5), nn.ReLU()

    def forward(self, x):
        return self.relu(self.fc(F.relu(self.conv(x)).flatten(1)))


class Joints(nn.Module):
    """Joints of bodies, each beside some others."""

    def __init__(self):
        super().__init__()
        self.register_buffer('A', torch.eye(7))
        self.conv, self.relu = nn.Conv2d(3, 4, 1), nn.ReLU()

    def forward(self, x):
        n, m, t, v, c = x.shape
        x = x.permute(0, 1, 4, 2, 3).reshape(n * m, c, t, v)
        return self.relu(self.conv(x @ self.A))


@pytest.mark.parametrize('cls, expected', [
    (Frames, [4, 6]), (Fixed, [4, 5]), (Joints, [4])])
def test_what_videos_are_made_of_is_tried(cls, expected):
    model = cls()
    assert all(one.ran for one in swap(model).swapped)
    assert sorted(widths(model).values()) == expected

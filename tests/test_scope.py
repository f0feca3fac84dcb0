"""Which package's module ``type='acon_mm.X'`` is."""
import subprocess
import sys

import mmdet.models
import mmseg.models
import pytest
import torch.nn as nn
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope, Registry
from mmseg.registry import MODELS as MMSEG_MODELS
from override_cases import acons

from acon_mm.backbones import ShuffleNetV2, TFNet
from acon_mm.registry import MODELS

RESNET = dict(type='acon_mm.ResNet', depth=18)


PURE_PYTHON = """
from mmdet.models import ResNet
from torch.nn import SiLU

from acon_mm.backbones import TFNet
from acon_mm.meta_acon import MetaAconC

model = dict(type='acon_mm.ResNet', depth=18, act_cfg=dict(type=MetaAconC))
silu = dict(type='acon_mm.ResNet', depth=18, act_cfg=dict(type=SiLU))
own = dict(type=TFNet, widen_factor=.5, act_cfg=dict(type=MetaAconC))
stock = dict(type=ResNet, depth=18)
"""


@pytest.fixture
def no_scope(scope):
    """No default scope until the test ends."""
    DefaultScope._instance_dict.clear()


@pytest.fixture
def package():
    """``package('mmpose', Class)``: a package that registers a class."""
    made = []

    def make(name, *classes, parent=ROOT_MODELS):
        registry = Registry('model', parent=parent, scope=name)
        registry._imported = True  # there are no modules to import
        made.append((parent, name))
        for cls in classes:
            registry.register_module(module=cls)
        return registry

    yield make
    for parent, name in made:
        del parent.children[name]


def network(name):
    """A new class of that name, with one activation."""

    def init(self, extra=None):
        nn.Module.__init__(self)
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x))

    return type(name, (nn.Module, ), dict(__init__=init, forward=forward))


@pytest.mark.parametrize('first, second', [('mmdet', 'mmseg'),
                                           ('mmseg', 'mmdet')])
def test_the_registry_that_builds_decides_without_a_default_scope(
        first, second):
    code = f"""if True:
        from {first}.registry import MODELS as FIRST
        from {second}.registry import MODELS as SECOND
        for registry in (FIRST, SECOND):
            model = registry.build(dict(type='acon_mm.ResNet', depth=18))
            print(type(model).__mro__)"""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          capture_output=True, text=True, check=True)
    bases = [line for line in done.stdout.splitlines() if 'resnet' in line]
    for line, name, other in zip(bases, (first, second), (second, first),
                                 strict=True):
        assert f"'{name}.models." in line and f"'{other}.models." not in line


def test_mmsegs_own_argument_is_accepted(no_scope):
    model = MMSEG_MODELS.build(dict(RESNET, contract_dilation=True))
    assert isinstance(model, mmseg.models.ResNet) and acons(model)


def test_what_a_model_builds_inside_is_its_packages(no_scope):
    model = MMSEG_MODELS.build(dict(
        type='EncoderDecoder',
        backbone=dict(RESNET, type='acon_mm.ResNetV1c'),
        decode_head=dict(type='acon_mm.FCNHead', in_channels=512, channels=8,
                         num_classes=2, in_index=3, placement='all')))
    assert isinstance(model.backbone, mmseg.models.ResNetV1c)
    assert isinstance(model.decode_head, mmseg.models.FCNHead)


def test_a_default_scope_decides_as_it_does_for_stock_names(scope):
    scope('mmdet')
    stock = MMSEG_MODELS.build(dict(type='ResNet', depth=18))
    assert isinstance(stock, mmdet.models.ResNet)
    assert isinstance(MMSEG_MODELS.build(RESNET), mmdet.models.ResNet)
    # looking a name up is not building: the registry itself has it
    assert isinstance(MMSEG_MODELS.get('acon_mm.ResNet')(depth=18),
                      mmseg.models.ResNet)


def test_the_scope_of_a_part_decides(scope):
    scope('mmdet')
    model = ROOT_MODELS.build(dict(RESNET, _scope_='mmseg'))
    assert isinstance(model, mmseg.models.ResNet)


def test_a_projects_registry_finds_its_own_names_and_its_parents(
        no_scope, package):
    own = network('OwnNet')
    project = package('project', own, parent=MMDET_MODELS)
    assert isinstance(project.build(dict(type='acon_mm.OwnNet')), own)
    assert isinstance(project.build(RESNET), mmdet.models.ResNet)


def test_a_name_of_several_packages_is_refused_where_nobody_decides(no_scope):
    with pytest.raises(KeyError, match="'acon_mm.mmdet.ResNet' or .*'acon_mm."
                       "mmseg.ResNet'.*set the default scope") as error:
        ROOT_MODELS.build(RESNET)
    assert '\n' not in str(error.value)
    for kind, type_ in ((mmdet, 'acon_mm.mmdet.ResNet'),
                        (mmseg, 'acon_mm.mmseg.ResNet')):
        model = ROOT_MODELS.build(dict(RESNET, type=type_))
        assert isinstance(model, kind.models.ResNet)


def test_a_name_of_one_package_needs_no_decision(no_scope, package):
    lonely = network('LonelyNet')
    package('lonely', lonely)
    assert isinstance(ROOT_MODELS.build(dict(type='acon_mm.LonelyNet')),
                      lonely)


def test_a_class_that_two_packages_share_is_no_conflict(no_scope, package):
    shared = network('SharedNet')
    package('one', shared)
    package('two', shared)
    assert isinstance(ROOT_MODELS.build(dict(type='acon_mm.SharedNet')),
                      shared)


def test_a_name_of_another_package_is_named_with_it(scope, package):
    package('elsewhere', network('FarNet'))
    scope('mmdet')
    with pytest.raises(KeyError, match='searched: mmdet.: write '
                       "'acon_mm.elsewhere.FarNet'"):
        ROOT_MODELS.build(dict(type='acon_mm.FarNet'))


def test_a_package_that_has_imported_nothing_yet_decides():
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c',
         'import mmdet.registry, mmseg.registry\n'
         'from acon_mm.lookup import find_stock\n'
         'assert not len(mmdet.registry.MODELS)\n'
         "print(find_stock('ResNet', 'mmdet', None).__module__)"],
        capture_output=True, text=True)
    assert done.stdout == 'mmdet.models.backbones.resnet\n', done.stderr


def test_without_any_package_the_hint_names_one_that_has_it():
    code = """if True:
        from mmengine.registry import MODELS
        MODELS.build(dict(type='acon_mm.EncoderDecoder'))"""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                          capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("(searched: no package): write 'acon_mm.mmseg."
                         "EncoderDecoder'.\"")


def test_a_network_of_this_package_says_whose_it_is_not(scope, package, log):
    """mmpose has a ShuffleNetV2 as well, with other weights."""
    theirs = network('ShuffleNetV2')
    package('mmpose', theirs)
    scope('mmpose')
    own = ROOT_MODELS.build(dict(type='acon_mm.ShuffleNetV2'))
    assert isinstance(own, ShuffleNetV2)
    assert any("that of mmpose is type='acon_mm.mmpose.ShuffleNetV2'" in line
               for line in log)
    with pytest.raises(TypeError, match="placement='all' is not for acon_mm."
                       "ShuffleNetV2.* leave it out.*, or write type='acon_mm."
                       "mmpose.ShuffleNetV2'"):
        ROOT_MODELS.build(
            dict(type='acon_mm.ShuffleNetV2', placement='all'))
    other = ROOT_MODELS.build(
        dict(type='acon_mm.mmpose.ShuffleNetV2', placement='all'))
    assert isinstance(other, theirs) and acons(other)


def test_a_network_of_this_package_is_silent_where_it_is_alone(scope, log):
    scope('mmdet')
    ROOT_MODELS.build(dict(type='acon_mm.TFNet', widen_factor=.5))
    with pytest.raises(TypeError, match=r'act_cfg: leave it out\.$'):
        ROOT_MODELS.build(dict(type='acon_mm.TFNet', placement='paper'))
    assert not any('that of' in line for line in log)


@pytest.mark.parametrize('cfg, kind', [
    (dict(type='TFNet', widen_factor=.5), TFNet),
    (dict(type='acon_mm.TFNet', widen_factor=.5), TFNet),
    (dict(type='mmdet.ResNet', depth=18), mmdet.models.ResNet),
    (dict(type='BN', num_features=3), nn.BatchNorm2d),
    (dict(type='Conv2d', in_channels=3, out_channels=4, kernel_size=1),
     nn.Conv2d),
    (dict(type='SiLU'), nn.SiLU),
])
def test_names_inside_the_scope_are_as_outside(cfg, kind, scope):
    scope('mmdet')
    model = MMDET_MODELS.build(dict(cfg, _scope_='acon_mm'))
    assert type(model) is kind
    scope('acon_mm')
    assert type(ROOT_MODELS.build(cfg)) is kind


def test_a_stock_name_inside_the_scope_is_overridden(scope):
    scope('mmseg')
    for cfg in (dict(type='ResNet', _scope_='acon_mm', depth=18),
                dict(RESNET, _scope_='acon_mm')):
        model = ROOT_MODELS.build(cfg)
        assert isinstance(model, mmseg.models.ResNet)
        assert len(acons(model)) == 16
        assert type(model.conv1) is nn.Conv2d
        assert type(model.bn1) is nn.BatchNorm2d


def test_a_dumped_pure_python_config_builds_as_the_first_does(scope,
                                                              tmp_path):
    scope('mmdet')
    first = tmp_path / 'first.py'
    first.write_text(PURE_PYTHON)
    cfg = Config.fromfile(first)
    cfg.dump(tmp_path / 'dumped.py')
    dumped = Config.fromfile(tmp_path / 'dumped.py')
    kinds = dict(
        model='MetaAconC', silu='SiLU', own='MetaAconC', stock='ReLU')
    for key in kinds:
        built, again = (
            [type(m).__name__ for m in ROOT_MODELS.build(c[key]).modules()]
            for c in (cfg, dumped))
        assert built == again and kinds[key] in built


@pytest.mark.parametrize('path, arguments', [
    ('mmdet.models.backbones.resnet.ResNet', dict(depth=18)),
    ('acon_mm.backbones.TFNet', dict(widen_factor=.5)),
    ('acon_mm.backbones.tfnet.TFNet', dict(widen_factor=.5)),
    ('acon_mm.meta_acon.MetaAconC', dict(num_channels=4)),
    ('acon_mm.MetaAconC', dict(num_channels=4)),
])
def test_a_class_may_be_named_by_its_path(path, arguments, scope):
    scope('mmdet')
    name = path.rpartition('.')[2]
    assert type(ROOT_MODELS.build(dict(type=path, **arguments))
                ).__name__ == name
    assert type(MMSEG_MODELS.build(
        dict(type=path, _scope_='mmseg', **arguments))).__name__ == name


def test_a_stock_class_may_be_named_by_its_path(scope):
    scope('mmdet')
    model = ROOT_MODELS.build(dict(
        RESNET, type='acon_mm.mmseg.models.backbones.resnet.ResNet'))
    assert isinstance(model, mmseg.models.ResNet) and acons(model)


def test_own_names_do_not_depend_on_who_asks(no_scope):
    for registry in (ROOT_MODELS, MMDET_MODELS, MMSEG_MODELS, MODELS):
        assert registry.get('acon_mm.TFNet') is TFNet
    assert MODELS.get('TFNet') is TFNet

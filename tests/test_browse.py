"""Pictures of what was learned and predicted, by their tools."""
import importlib.util
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from acon_mm import AconC, MetaAconC
from acon_mm.browse.compare import compare
from acon_mm.browse.panels import STRIP, draw_prediction, draw_truth
from acon_mm.learned.pictures import (
    draw_betas,
    draw_curves,
    picture_of,
)
from acon_mm.learned.record import Layer
from acon_mm.palette import COLOURS

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs/shapes'
META = dict(classes=('circle', 'square'),
            palette=[(255, 0, 0), (0, 0, 255)])


def load(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tool(monkeypatch, tmp_path, capsys):
    """``tool(name, ...)`` runs a tool; what it prints, or its last words."""

    def run(name, *words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
        try:
            load(name).main()
        except SystemExit as end:
            return f'{end.code} {capsys.readouterr().err}'
        return capsys.readouterr().out

    return run


@pytest.fixture
def checkpoint(scope, tmp_path, shapes_coco, shapes_cityscapes):
    """``checkpoint(config)``: as a training leaves it, a little moved."""

    def save(name, **cfg_options):
        cfg = Config.fromfile(CONFIGS / name)
        root = shapes_coco if cfg.default_scope == 'mmdet' else (
            shapes_cityscapes)
        cfg.merge_from_dict({'val_dataloader.dataset.data_root': f'{root}/',
                             **cfg_options})
        scope(cfg.default_scope)
        torch.manual_seed(3)
        model = MODELS.build(cfg.model)
        for act in model.modules():
            if isinstance(act, (AconC, MetaAconC)):
                for p in (act.p1, act.p2):
                    torch.nn.init.normal_(p, p.mean().item(), .3)
        path = tmp_path / f'{Path(name).stem}.pth'
        torch.save(dict(state_dict=model.state_dict(),
                        meta=dict(cfg=cfg.pretty_text)), path)
        return path

    return save


def written(printed):
    """The files that a tool names."""
    return {Path(line).name for line in printed.splitlines()
            if line.startswith('out/')}


def test_three_pictures_of_what_a_checkpoint_learned(
        tool, checkpoint, tmp_path):
    path = checkpoint('pspnet_r18-d8-metaacon_200i_shapes.py')
    printed = tool('plot_activations', path, '--num-images', 2, '--out',
                   'out', '--layers', '*.layer1.0.*', '*.layer4.1.*')
    files = {f'{name}.{kind}' for name in ('curves', 'derivatives', 'beta')
             for kind in ('png', 'svg')}
    assert written(printed) == files
    assert {file.name for file in (tmp_path / 'out').iterdir()} == files
    for file in files:
        if file.endswith('png'):
            assert Image.open(tmp_path / 'out' / file).width == 990
    shown = text_of(tmp_path / 'out/curves.svg')
    for expected in ('layer1.0.act1 (64)', 'layer4.1.act2 (512)', 'input',
                     'output', 'before training', path.name):
        assert any(expected in line for line in shown), expected
    assert any(line.startswith('layer4:')
               for line in text_of(tmp_path / 'out/beta.svg'))
    assert 'bounds' in text_of(tmp_path / 'out/derivatives.svg')
    assert '--layers neck.* fits none of backbone.layer1.0.act1' in tool(
        'plot_activations', path, '--num-images', 1, '--layers', 'neck.*',
        '--out', 'other')


def text_of(svg):
    """Texts of an SVG file, none of which is small."""
    texts = []
    for element in ElementTree.parse(svg).iter(
            '{http://www.w3.org/2000/svg}text'):
        size = re.search(r'([\d.]+)px', element.get('style'))
        # of a page of nine inches, in points
        assert float(size[1]) >= 7
        texts.append(''.join(element.itertext()))
    colours = set(re.findall(r'(?:stroke|fill): (#\w{6})', svg.read_text()))
    assert colours <= {c.lower() for c in COLOURS} | {'#ffffff', '#cccccc'}
    return texts


@pytest.mark.parametrize('words, sentence', [
    (['nowhere.pth'], 'nowhere.pth is no file: give CHECKPOINT'),
    (['broken.pth'], 'broken.pth is no checkpoint: '),
    (['bare.pth'], 'bare.pth has no config: give CONFIG:bare.pth.'),
    (['code.pth'], 'code.pth has a config with code in it (line 2 is no '
     'assignment), which is not run: give CONFIG:code.pth.'),
    (['call.pth'], 'call.pth has a config with code in it (malformed'),
    ([CONFIGS / 'retinanet_r18-metaacon_fpn_400i_shapes.py'],
     'The validation images are not there'),
    ([CONFIGS / 'retinanet_r18-metaacon_fpn_400i_shapes.py',
      '--num-images', 0], '--num-images 0 must be positive'),
])
def test_what_cannot_be_plotted_is_said(words, sentence, tool, tmp_path):
    (tmp_path / 'broken.pth').write_text('nothing')
    torch.save(dict(state_dict={}), tmp_path / 'bare.pth')
    for name, code in (('code', "a = 1\nopen('run', 'w')"),
                       ('call', "a = open('run', 'w')")):
        torch.save(dict(meta=dict(cfg=code)), tmp_path / f'{name}.pth')
    assert sentence in tool('plot_activations', *words, '--out', 'out')
    assert not {'out', 'run'} & {path.name for path in tmp_path.iterdir()}


def test_pictures_are_not_overwritten_unasked(tool, tmp_path):
    (tmp_path / 'out').mkdir()
    for name in ('curves-2.png', '00001.png'):
        (tmp_path / 'out' / name).write_text('precious')
    assert 'curves-2.png exists: add --overwrite' in tool(
        'plot_activations', 'a.pth', '--out', 'out')
    assert '00001.png exists: add --overwrite' in tool(
        'browse_predictions', 'a.pth', '--out', 'out', '--images', 1)
    assert (tmp_path / 'out/curves-2.png').read_text() == 'precious'


def test_a_model_without_acon_is_named(tool, checkpoint):
    path = checkpoint('pspnet_r18-d8_200i_shapes.py')
    assert 'has no AconA, AconB, AconC or MetaAconC' in tool(
        'plot_activations', path, '--num-images', 1)


@pytest.mark.parametrize('config', [
    'pspnet_r18-d8{}_200i_shapes.py',
    pytest.param('mask-rcnn_r18{}_fpn_400i_shapes.py',
                 marks=pytest.mark.slow)])
def test_predictions_of_two_models_beside_the_truth(
        config, tool, checkpoint, tmp_path):
    paths = [checkpoint(config.format(act)) for act in ('', '-metaacon')]
    printed = tool('browse_predictions', *paths, '--names', 'ReLU', 'ACON',
                   '--images', 2, 0, '--score-thr', 0, '--out', 'out')
    assert written(printed) == {'00002.png', '00000.png'}
    pictures = [np.asarray(Image.open(tmp_path / 'out' / name))
                for name in ('00000.png', '00002.png')]
    for picture in pictures:
        assert picture.shape[0] >= 640 + STRIP
        assert picture.shape[1:] == (3 * 648 - 8, 3)
    below = slice(STRIP, STRIP + 640)
    assert (pictures[0][below] != pictures[1][below]).any()
    truth, relu, acon = (pictures[0][below, i * 648:i * 648 + 640]
                         for i in range(3))
    assert (truth != relu).any() and (relu != acon).any()


@pytest.mark.parametrize('words, sentence', [
    (['--names', 'a', 'b'], '--names has 2 names for 1 models'),
    (['--images', '-1'], '--images -1 must not be negative'),
    (['--width', '10'], '--width 10 must be 64 or more'),
])
def test_wrong_words_are_said(words, sentence, tool):
    assert sentence in tool('browse_predictions', 'a.pth', *words)


def test_an_image_that_there_is_not(tool, checkpoint):
    path = checkpoint('pspnet_r18-d8-metaacon_200i_shapes.py')
    assert ('There is no image 9: the validation set has 4.' in tool(
        'browse_predictions', path, '--images', 9))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'grey.png'
    cv2.imwrite(str(path), np.full((48, 64, 3), 128, np.uint8))
    return dict(img_path=str(path))


def instances(**kwargs):
    return InstanceData(
        bboxes=torch.tensor([[16., 12, 48, 36]]), labels=torch.tensor([1]),
        **kwargs)


def test_boxes_are_where_they_were_in_the_scaled_image(image):
    sample = DetDataSample(metainfo=image)
    sample.gt_instances = instances()
    sample.pred_instances = instances(scores=torch.tensor([.4]))
    truth = draw_truth(sample, META).astype(int)
    assert truth.shape == (480, 640, 3)
    # the lower edge is thin and blue, what is inside is as it was
    edge = truth[355:366, 320]
    assert (edge[:, 2] - edge[:, 0]).max() > 100
    assert ((edge - 128) != 0).any(1).sum() <= 5
    assert (truth[300, 320] == 128).all()
    none = draw_prediction(sample, META, threshold=.5)
    assert (none == 128).all()
    # a score makes the label longer
    scored = draw_prediction(sample, META, threshold=.3).astype(int)
    assert (scored[125:150] < 60).sum() > 1.3 * (truth[125:150] < 60).sum()


def test_masks_are_tinted(image):
    mask = np.zeros((1, 48, 64), bool)
    mask[:, 20:30, 20:40] = True
    sample = DetDataSample(metainfo=image)
    sample.pred_instances = instances(scores=torch.tensor([.9]),
                                      masks=torch.from_numpy(mask))
    drawn = draw_prediction(sample, META).astype(int)
    assert drawn[250, 300, 2] > 170 > 90 > drawn[250, 300, 0]
    assert (drawn[330, 300] == 128).all()


@pytest.mark.parametrize('predicted', [True, False])
def test_masks_are_drawn_where_the_model_predicts_some(image, predicted):
    masks = dict(masks=torch.ones(1, 48, 64, dtype=torch.bool))
    sample = DetDataSample(metainfo=image)
    sample.gt_instances = instances(**masks)
    sample.pred_instances = instances(scores=torch.tensor([.9]),
                                      **masks if predicted else {})
    assert (draw_truth(sample, META)[300, 320] != 128).any() == predicted
    assert 'masks' in sample.gt_instances


def test_segmentation_has_a_legend_and_leaves_what_is_ignored(image):
    ids = torch.full((1, 48, 64), 255)
    ids[:, :, :32] = 1
    sample = SegDataSample(metainfo=image)
    sample.gt_sem_seg = PixelData(data=ids)
    sample.pred_sem_seg = PixelData(data=ids)
    drawn = draw_truth(sample, META, width=128).astype(int)
    assert drawn[48, 30, 2] > 180 and (drawn[48, 100] == 128).all()
    picture = np.asarray(compare(dict(ACON=sample), META, width=320))
    assert picture.shape == (STRIP + 240 + STRIP, 648, 3)
    below = picture[STRIP + 240:]
    assert (below == (0, 0, 255)).all(2).any()
    assert not (below == (255, 0, 0)).all(2).any()


def test_classes_without_colours_get_some(image):
    sample = DetDataSample(metainfo=image)
    sample.gt_instances = instances()
    drawn = draw_truth(sample, dict(classes=('a', 'b')))
    assert (drawn != 128).any()


def test_a_model_that_predicts_nothing_to_draw(image):
    with pytest.raises(ValueError, match='has no boxes, masks or segmentat'):
        compare(dict(a=SegDataSample(metainfo=image)), META)


def test_what_learned_nothing_can_be_drawn():
    still = {'layer1.act': Layer(torch.ones(2), torch.zeros(2),
                                 torch.full((1, 2), 30.), torch.zeros(5, 2))}
    for draw in (draw_curves, draw_betas):
        figure = draw(still, 'title', still)
        assert figure.axes[0].get_title().startswith('layer1')


def test_a_training_that_diverges_has_pictures_as_well():
    gone = Layer(torch.tensor([1., torch.nan]), torch.full((2, ), torch.nan),
                 torch.tensor([[torch.inf, 2.]]), torch.zeros(5, 2))
    picture = picture_of({'layer1.act': gone}, 'title')
    assert picture.dtype == np.uint8 and len(np.unique(picture)) > 9

"""The demo: training through mim, its table, its pictures, its verdict."""
import base64
import importlib.util
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from rich.console import Console

from acon_mm import shapes
from acon_mm.demo import training
from acon_mm.demo.page import write_page
from acon_mm.demo.report import (
    HEADER,
    LOOK_FOR,
    Reported,
    report,
    table_of,
)
from acon_mm.demo.training import Run, TrainingError

ROOT = Path(__file__).parents[1]
SHORT = dict(
    train_cfg=dict(max_iters=2, val_interval=2),
    default_hooks=dict(
        logger=dict(interval=1), checkpoint=dict(interval=2)))


@pytest.fixture
def demo():
    """The module tools/demo.py."""
    spec = importlib.util.spec_from_file_location('demo',
                                                  ROOT / 'tools/demo.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def short_run(tmp_path, task, demo, **changes):
    """A Run of two iterations, from the demo's own config."""
    model, package, _, name, required = demo.TASKS[task]
    path = tmp_path / name.format('-metaacon')
    config = Config.fromfile(ROOT / demo.CONFIGS / path.name)
    config.merge_from_dict(SHORT)
    config.merge_from_dict(changes)
    config.dump(path)
    return Run(model, 'meta-ACON', package, path, required,
               tmp_path / 'work_dir')


def data_of(root, evaluator=None):
    changes = {}
    for split in ('train', 'val', 'test'):
        changes[f'{split}_dataloader'] = dict(
            batch_size=4,
            num_workers=0,
            persistent_workers=False,
            dataset=dict(data_root=f'{root}/'))
        if evaluator and split != 'train':
            changes[f'{split}_evaluator'] = dict(ann_file=str(evaluator))
    return changes


@pytest.mark.parametrize('task, metric', [
    pytest.param('retinanet', 'coco/bbox_mAP', marks=pytest.mark.slow),
    ('pspnet', 'mIoU')])
def test_a_short_run_gives_metrics_row_pictures_and_page(
        task, metric, demo, tmp_path, shapes_coco, shapes_cityscapes, capsys):
    if task == 'pspnet':
        changes = data_of(shapes_cityscapes)
    else:
        changes = data_of(
            shapes_coco, shapes_coco / 'annotations/instances_val2017.json')
        changes['model'] = dict(test_cfg=dict(score_thr=0))
    run = short_run(tmp_path, task, demo, **changes)
    console = Console()
    training.train(run, console)
    assert 0 <= run.metrics[metric] < 0.3
    assert run.seconds > 0
    # Two iterations are not enough, and the sentence says so.
    assert len(run.failures()) == 1
    assert 'must exceed' in run.failures()[0]

    one = report(run, tmp_path, console)
    printed = capsys.readouterr().out
    assert table_of([one]).row_count == 1
    assert 10 < float(one.cells[-1].split()[0]) < 25
    assert [*one.pictures] == [*one.captions] == [*LOOK_FOR]
    assert 'channels moved by more than 5%' in one.captions['curves']
    for path in one.pictures.values():
        assert str(path) in printed
    predictions = Image.open(one.pictures['predictions'])
    assert predictions.width >= 2 * 512 and predictions.height > 4 * 512
    write_page([one], run.failures(), 'make demo', tmp_path / 'index.html')
    assert pictures_of(tmp_path / 'index.html') == 5


class Page(HTMLParser):
    """What a page shows, and whence."""

    def __init__(self):
        super().__init__()
        self.images, self.links, self.text = [], [], ''

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == 'img':
            assert attrs['alt']
            self.images.append(attrs['src'])
        if 'href' in attrs:
            self.links.append((tag, attrs['href']))
        assert tag not in ('script', 'link', 'iframe')

    def handle_data(self, data):
        self.text += data


def read(path):
    page = Page()
    page.feed(path.read_text())
    return page


def pictures_of(path):
    """How many pictures a page has; each must decode."""
    images = read(path).images
    for image in images:
        kind, data = image.split(',', 1)
        assert kind == 'data:image/png;base64'
        Image.open(io.BytesIO(base64.b64decode(data))).load()
    return len(images)


@pytest.fixture
def reported(tmp_path):
    """A run with small pictures."""
    run = Run('PSPNet', 'meta-ACON', 'mmsegmentation', Path('a.py'),
              {'mIoU': .6}, tmp_path, {'mIoU': .5}, 1.5)
    pictures = {}
    for kind in LOOK_FOR:
        pictures[kind] = tmp_path / f'{kind}.png'
        Image.new('RGB', (1000, 40), 'teal').save(pictures[kind])
    return Reported(run, ['PSPNet', 'meta-ACON', '', '', '0.500', '1.50 s',
                          '11 M'], pictures,
                    dict(LOOK_FOR, curves='a line is a channel, moved by 9.'))


def test_the_page_is_one_file_and_says_all(reported, tmp_path):
    path = tmp_path / 'index.html'
    write_page([reported], reported.run.failures(), 'a <b> & c', path)
    page = read(path)
    assert pictures_of(path) == len(LOOK_FOR)
    # nothing is fetched; links are followed only by who clicks
    assert {tag for tag, _ in page.links} == {'a'}
    for text in (*HEADER, *reported.cells, 'a <b> & c', 'mIoU is 0.500 and',
                 ' '.join(reported.run.command)):
        assert text in page.text
    for caption in reported.captions.values():
        assert caption[1:] in page.text
    assert not list(tmp_path.glob('*.draft'))


def test_every_picture_of_the_page_loads_in_a_browser(reported, tmp_path,
                                                      browser):
    path = tmp_path / 'index.html'
    write_page([reported], [], 'make demo', path)
    shown = browser(path, """[...document.images].map(
        image => [image.complete, image.naturalWidth, image.width])""")
    assert len(shown) == len(LOOK_FOR)
    # as wide as the window lets them be
    assert all(complete and natural == 1000 and 600 < width <= 800
               for complete, natural, width in shown)
    assert browser(path, 'document.documentElement.scrollWidth') <= 800


def test_a_failing_training_names_its_log(demo, tmp_path):
    run = short_run(
        tmp_path, 'retinanet', demo, model=dict(type='NoSuchModel'))
    with pytest.raises(TrainingError, match='NoSuchModel') as error:
        training.train(run, Console())
    assert str(run.work_dir / 'mim.log') in str(error.value)


def test_records_ignore_a_line_that_is_being_written(tmp_path):
    path = tmp_path / '20200101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dict(loss=1.5, step=10)) + '\n{"loss": 1.')
    assert training.read_records(tmp_path) == [dict(loss=1.5, step=10)]


def test_per_cent_become_fractions():
    record = {'mIoU': 61.5, 'coco/bbox_mAP': 0.4, 'coco/bbox_mAP_50': 0.6}
    assert training.as_fractions(record) == {
        'mIoU': pytest.approx(0.615),
        'coco/bbox_mAP': 0.4
    }


@pytest.mark.parametrize('metrics, failing', [
    ({'mIoU': 0.61}, 0),
    ({'mIoU': 0.6}, 1),
    ({'mIoU': float('nan')}, 1),
    ({}, 1),
])
def test_required_metrics_must_be_exceeded(metrics, failing, tmp_path):
    run = Run('PSPNet', 'meta-ACON', 'mmsegmentation', tmp_path,
              {'mIoU': 0.6}, tmp_path, metrics)
    assert len(run.failures()) == failing


@pytest.mark.parametrize('miou, code', [(0.7, 0), (0.5, 1)])
def test_verdict_and_exit_code(miou, code, demo, reported, tmp_path,
                               monkeypatch, capsys):
    def train(run, console):
        run.metrics = {'coco/bbox_mAP': 0.4, 'mIoU': miou}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, 'train', train)
    monkeypatch.setattr(
        demo, 'report', lambda run, *args: reported._replace(run=run))
    monkeypatch.setattr(demo, 'draw_missing_data', lambda tasks: None)
    (tmp_path / 'work_dirs/demo').mkdir(parents=True)
    assert demo.main() == code
    printed = capsys.readouterr().out
    assert 'one page: work_dirs/demo/index.html' in printed
    assert pictures_of(tmp_path / 'work_dirs/demo/index.html') == 10
    after = printed.partition('Three pictures worth opening:')[2]
    for kind in ('predictions', 'curves', 'betas'):
        picture, text = reported.pictures[kind], reported.captions[kind]
        assert f'{picture}\n    {text}' in after
    assert ('FAILED PSPNet, meta-ACON: mIoU is 0.500' in printed) == code
    assert 'model.backbone.type=acon_mm.ResNet' in printed


def test_full_demo_trains_relu_without_requirements(demo, monkeypatch,
                                                    tmp_path):
    monkeypatch.setenv('DEMO', 'full')
    runs = list(
        demo.make_runs(['retinanet'], demo.chosen_activations(), tmp_path))
    assert [(run.activation, bool(run.required)) for run in runs] == [
        ('meta-ACON', True), ('ReLU', False)]
    assert all((ROOT / run.config).exists() for run in runs)


@pytest.mark.parametrize('variable', ['TASK', 'DEMO'])
def test_unknown_choice_is_one_sentence(variable, demo, monkeypatch):
    monkeypatch.setenv(variable, 'nonsense')
    with pytest.raises(SystemExit, match=f'{variable}=nonsense is unknown'):
        demo.main()


def test_data_drawn_with_other_settings_is_named(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shapes.write_dataset('data/shapes_coco', 'coco', dict(train=1, val=1), 32)
    with pytest.raises(SystemExit, match='shapes_coco was not drawn as'):
        demo.main()

"""A training on data that is not as its config says ends before it begins."""
import json
import re
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from acon_mm.data_check import check_data

CONFIGS = Path(__file__).parents[1] / 'configs/shapes'
DETECTOR = CONFIGS / 'retinanet_r18-aconc_fpn_400i_shapes.py'
SEGMENTOR = CONFIGS / 'pspnet_r18-d8-metaacon_200i_shapes.py'
SENTENCE = r'.*: [a-z].*\.'


def edited(change):
    """A change of the annotations of the training images."""
    def edit(root):
        path = root / 'annotations/instances_train2017.json'
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return edit


def cut(root):
    path = root / 'annotations/instances_train2017.json'
    path.write_text(path.read_text()[:99])


def renamed(content):
    for category in content['categories']:
        category['name'] = category['name'].upper()


def emptied(folder):
    def empty(root):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    return empty


COCO = [
    (cut, 'instances_train2017.json of train_dataloader cannot be read'),
    (lambda root: (root / 'annotations/instances_val2017.json').unlink(),
     'instances_val2017.json of val_dataloader is no file: set data_root'),
    (lambda root: (root / 'annotations/instances_val2017.json').write_text(
        '[1]'), 'instances_val2017.json of val_dataloader has no images'),
    (edited(lambda content: content['images'].clear()), 'has no images: '),
    (edited(lambda content: content['annotations'].clear()),
     'has no boxes of its classes: annotate'),
    (edited(lambda content: content['categories'].clear()),
     r'has the categories \[\] and none of the classes'),
    (edited(lambda content: content['images'][0].pop('file_name')),
     "is not as COCO has it .KeyError: 'file_name'.: give"),
    (edited(renamed), r"categories \['CIRCLE', .* none of .*\['circle', "),
    (emptied('train2017'), 'the first image of ann_file .*, is no file: '),
]
CITYSCAPES = [
    (emptied('leftImg8bit/train'),
     'data_prefix.img_path of train_dataloader, has no files: set data_'),
    (emptied('gtFine/val'),
     'data_prefix.seg_map_path of val_dataloader, has no files: set data'),
]


def train(tool, config, root, work_dir, *options):
    splits = [f'{split}_dataloader.dataset.data_root={root}/'
              for split in ('train', 'val', 'test')]
    return tool('train.py', config, '--work-dir', work_dir, '--cfg-options',
                *splits, *options)


@pytest.mark.parametrize(
    'config, source, change, words',
    [(DETECTOR, 'shapes_coco', *row) for row in COCO]
    + [(SEGMENTOR, 'shapes_cityscapes', *row) for row in CITYSCAPES],
    ids=[words for _, words in COCO + CITYSCAPES])
def test_hostile_data(config, source, change, words, request, tool, scope,
                      tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(request.getfixturevalue(source), root)
    change(root)
    done = train(tool, config, root, tmp_path / 'run')
    assert re.search(words, done.code), done.code
    assert re.fullmatch(SENTENCE, done.code), done.code
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('config, source, options, words', [
    (DETECTOR, 'shapes_coco', ['model.bbox_head.num_classes=4'],
     'model.bbox_head has num_classes=4, but train_dataloader has 6 classes'),
    (SEGMENTOR, 'shapes_cityscapes', ['model.decode_head.num_classes=3'],
     'model.decode_head has num_classes=3, .* 7 classes: set num_classes=7')])
def test_too_few_classes(config, source, options, words, request, tool,
                         scope, tmp_path):
    done = train(tool, config, request.getfixturevalue(source),
                 tmp_path / 'run', *options)
    assert re.search(words, done.code), done.code
    assert re.fullmatch(SENTENCE, done.code), done.code
    assert not (tmp_path / 'run').exists()


def test_the_data_of_a_test(shapes_coco, tool, scope, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(shapes_coco, root)
    cut(root)  # of the training images, which a test does not read
    (root / 'val2017').rename(root / 'elsewhere')
    done = tool('test.py', DETECTOR, 'none.pth', '--cfg-options',
                f'test_dataloader.dataset.data_root={root}/')
    assert re.search('val2017.*first image .* is no file: ', done.code)


def loader(**dataset):
    return Config(dict(default_scope='mmdet', train_dataloader=dict(
        dataset=dataset)))


def test_what_is_not_known_is_left_to_the_dataset(scope, tmp_path):
    remote = dict(type='CocoDataset', ann_file='a.json')
    check_data(loader(**remote, data_root='s3://bucket/'), ('train', ))
    check_data(loader(**remote, backend_args=dict(backend='petrel')),
               ('train', ))
    check_data(loader(type='LVISV1Dataset', ann_file='a.json'), ('train', ))
    check_data(loader(type='Nobody'), ('train', ))
    check_data(Config(dict(default_scope='mmdet')), ('train', 'val'))


def test_wrapped_data(scope):
    inner = dict(type='CocoDataset', ann_file='a.json')
    for outer in (dict(type='RepeatDataset', times=2, dataset=inner),
                  dict(type='ConcatDataset', datasets=[inner])):
        with pytest.raises(ValueError, match=r'a\.json .* is no file: '):
            check_data(loader(**outer), ('train', ))


def test_good_data(shapes_coco, shapes_cityscapes, scope):
    for config, root in ((DETECTOR, shapes_coco),
                         (SEGMENTOR, shapes_cityscapes)):
        config = Config.fromfile(config)
        for split in ('train', 'val', 'test'):
            config[f'{split}_dataloader'].dataset.data_root = f'{root}/'
        check_data(config, ('train', 'val', 'test'))

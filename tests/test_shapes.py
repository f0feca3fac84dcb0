"""The drawn data set: determinism, annotations, folders, errors."""
import hashlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from acon_mm import shapes

DIGEST = '95ef85667153febaffb517347beb8bb2' \
         'd8da860d9d42fb74df2ceb22b0bf4021'


def folder_bytes(root):
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob('*') if path.is_file()
    }


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'coco'
    shapes.write_dataset(root, 'coco', dict(train=12, val=4), size=96)
    return root


@pytest.fixture(scope='module')
def cityscapes(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'cityscapes'
    shapes.write_dataset(root, 'cityscapes', dict(train=12, val=4), size=96)
    return root


def test_pixels_and_instances_are_the_same_everywhere():
    """The digest was taken once; another one means other images."""
    digest = hashlib.sha256()
    for index in range(8):
        image, instances, labels = shapes.draw(0, 'train', index)
        digest.update(image.tobytes())
        digest.update(instances.astype('<i4').tobytes())
        digest.update(bytes(labels))
    assert digest.hexdigest() == DIGEST


def test_seed_split_and_index_give_different_images():
    images = [
        shapes.draw(*arguments)[0].tobytes()
        for arguments in [(0, 'train', 0), (1, 'train', 0), (0, 'val', 0),
                          (0, 'train', 1)]
    ]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize('layout', shapes.LAYOUTS)
def test_number_of_processes_does_not_change_a_byte(layout, tmp_path):
    for workers in (1, 3):
        shapes.write_dataset(
            tmp_path / str(workers),
            layout,
            dict(train=20, val=2),
            size=32,
            workers=workers)
    assert folder_bytes(tmp_path / '1') == folder_bytes(tmp_path / '3')


def test_all_classes_and_occlusion_occur():
    drawn = [shapes.draw(0, 'train', index) for index in range(60)]
    labels = [label for *_, found in drawn for label in found]
    share = np.bincount(labels, minlength=6) / len(labels)
    assert share.min() > 0.08
    # Two shapes that touch: one hides a part of the other.
    touching = sum(
        bool(((a != b) & (a > 0) & (b > 0)).any())
        for _, instances, _ in drawn
        for a, b in [(instances[:, 1:], instances[:, :-1])])
    assert touching > 20


@pytest.mark.parametrize('index', range(20))
def test_polygons_rasterize_to_the_mask(index):
    _, instances, labels = shapes.draw(0, 'val', index)
    coco = COCO()
    coco.imgs = {0: dict(height=128, width=128)}
    for number in range(1, len(labels) + 1):
        mask = instances == number
        annotation = dict(image_id=0, segmentation=shapes.polygons(mask))
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)


def test_polygon_of_a_mask_with_two_holes_and_two_parts():
    mask = np.zeros((20, 20), bool)
    mask[1:12, 1:12] = True
    mask[3:5, 3:5] = mask[7:10, 6:9] = False
    mask[15:18, 2:19] = True
    coco = COCO()
    coco.imgs = {0: dict(height=20, width=20)}
    annotation = dict(image_id=0, segmentation=shapes.polygons(mask))
    assert len(annotation['segmentation']) == 2
    np.testing.assert_array_equal(coco.annToMask(annotation), mask)


def test_pycocotools_reads_the_folder_and_boxes_are_tight(coco):
    api = COCO(str(coco / 'annotations' / 'instances_train2017.json'))
    assert len(api.imgs) == 12
    assert [c['name'] for c in api.cats.values()] == list(shapes.CLASSES)
    for annotation in api.anns.values():
        mask = api.annToMask(annotation)
        x, y, w, h = annotation['bbox']
        assert mask.sum() == mask[y:y + h, x:x + w].sum()
        assert annotation['area'] == mask.sum() > 0
        edges = mask[y, x:x + w], mask[y + h - 1, x:x + w], \
            mask[y:y + h, x], mask[y:y + h, x + w - 1]
        assert all(edge.any() for edge in edges)
        assert annotation['iscrowd'] == 0
    for image in api.imgs.values():
        drawn = cv2.imread(str(coco / 'train2017' / image['file_name']))
        expected, *_ = shapes.draw(0, 'train', image['id'], 96)
        np.testing.assert_array_equal(drawn, expected)


def test_stock_coco_dataset_reads_the_folder(coco):
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations
    from mmdet.utils import register_all_modules
    register_all_modules()
    dataset = CocoDataset(
        data_root=str(coco),
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        metainfo=dict(classes=shapes.CLASSES),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type=LoadAnnotations, with_bbox=True, with_mask=True)
        ])
    assert len(dataset) == 4
    for index in range(4):
        _, instances, labels = shapes.draw(0, 'val', index, 96)
        item = dataset[index]
        np.testing.assert_array_equal(item['gt_bboxes_labels'], labels)
        masks = item['gt_masks'].to_ndarray()
        numbers = np.arange(1, len(labels) + 1)[:, None, None]
        np.testing.assert_array_equal(masks, instances == numbers)


def test_stock_cityscapes_dataset_reads_the_folder(cityscapes):
    from mmseg.datasets import CityscapesDataset
    from mmseg.datasets.transforms import LoadAnnotations
    from mmseg.utils import register_all_modules
    register_all_modules()
    dataset = CityscapesDataset(
        data_root=str(cityscapes),
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type=LoadAnnotations)])
    assert len(dataset) == 12
    for index in range(12):
        item = dataset[index]
        image, instances, labels = shapes.draw(0, 'train', index, 96)
        np.testing.assert_array_equal(item['img'], image)
        ids = item['gt_seg_map']
        assert set(np.unique(ids)) <= {0, shapes.IGNORED} | {
            1 + label for label in labels}
        inside = ids != shapes.IGNORED
        expected = np.array([0] + [1 + label for label in labels])[instances]
        np.testing.assert_array_equal(ids[inside], expected[inside])
        assert 0 < 1 - inside.mean() < 0.3


@pytest.mark.parametrize('change, message', [
    (dict(layout='voc'), "layout is 'voc'"),
    (dict(counts=dict(train=0, val=1)), "counts is {'train': 0, 'val': 1}"),
    (dict(size=8), 'size is 8; give at least 32'),
    (dict(seed=-1), 'seed is -1; give one from 0'),
])
def test_settings_out_of_range(change, message, tmp_path):
    settings = dict(layout='coco', counts=dict(train=1, val=1)) | change
    with pytest.raises(ValueError, match=message):
        shapes.write_dataset(tmp_path / 'new', **settings)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr(shapes.folders, '_write_instances', fail)
    with pytest.raises(OSError, match='disk full'):
        shapes.write_dataset(tmp_path / 'new', 'coco', dict(train=1, val=1))
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_written_is_no_data_set(
        tmp_path, monkeypatch):
    monkeypatch.setattr(shapes.folders.cv2, 'imwrite', lambda *_: False)
    monkeypatch.setattr(shapes.folders, 'ProcessPoolExecutor',
                        lambda _: ThreadPoolExecutor())
    with pytest.raises(OSError, match='png could not be written'):
        shapes.write_dataset(tmp_path / 'new', 'coco', dict(train=1, val=1))
    assert not list(tmp_path.iterdir())


def test_tool_writes_both_folders_and_overwrites_only_when_asked(
        tmp_path, tool):
    small = ('make_shapes.py', tmp_path, '--train', 3, '--val', 2, '--size',
             32)
    assert not tool(*small).code
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'shapes_coco', 'shapes_cityscapes'}
    before = folder_bytes(tmp_path)

    second = tool(*small, '--seed', 1)
    assert second.code == 2
    assert 'shapes_coco exists' in second.err.splitlines()[-1]
    assert '--overwrite' in second.err.splitlines()[-1]
    assert folder_bytes(tmp_path) == before

    assert not tool(*small, '--seed', 1, '--overwrite').code
    after = folder_bytes(tmp_path)
    assert after.keys() == before.keys() and after != before
    assert shapes.read_settings(tmp_path / 'shapes_coco') == dict(
        counts=dict(train=3, val=2), size=32, seed=1)


def test_overwrite_never_replaces_a_foreign_folder(tmp_path, tool):
    precious = tmp_path / 'shapes_coco' / 'mine.txt'
    precious.parent.mkdir()
    precious.write_text('kept')
    done = tool('make_shapes.py', tmp_path, '--format', 'coco', '--overwrite')
    assert done.code == 2
    assert 'is not a folder of drawn images' in done.err
    assert precious.read_text() == 'kept'


def test_tool_reports_a_bad_setting_in_one_sentence(tmp_path, tool):
    done = tool('make_shapes.py', tmp_path / 'new', '--size', 8)
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith(
        'size is 8; give at least 32 pixels')
    assert not (tmp_path / 'new').exists()

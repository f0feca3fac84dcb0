"""Pictures to classify in a study, of folders and of an archive."""
import cv2
import numpy as np
import pytest
import torch

from acon_mm.study.pictures import PictureClassifier, Pictures, TopOne


@pytest.fixture
def folder(tmp_path):
    """Two classes of five 8 x 8 pictures each, of one grey each."""
    for split in ('train', 'test'):
        for label, name in enumerate(('bright', 'dark')):
            path = tmp_path / split / name
            path.mkdir(parents=True)
            for i in range(5):
                grey = np.full((8, 8, 3), 200 - 150 * label + i, np.uint8)
                cv2.imwrite(str(path / f'{i}.png'), grey)
    return tmp_path


def test_pictures_of_folders_and_of_an_archive_are_the_same(
        folder, tmp_path_factory):
    found = Pictures(str(folder), 'test', per_class=3)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found[4]['inputs'].unique().tolist() == [51]
    assert found[4]['inputs'].shape == (3, 8, 8)
    files = [p.read_bytes() for p in sorted(folder.glob('test/*/*.png'))]
    archive = tmp_path_factory.mktemp('archive')
    np.savez(
        archive / 'set.npz',
        test_jpeg=np.frombuffer(b''.join(files), np.uint8),
        test_start=np.cumsum([0, *map(len, files)]),
        test_label=np.repeat([0, 1], 5))
    again = Pictures(str(archive), 'test', per_class=3)
    assert all(torch.equal(found[i]['inputs'], again[i]['inputs'])
               for i in range(6))


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='give a folder with train/'):
        Pictures(str(tmp_path), 'train')


def test_an_augmented_picture_is_shifted_over_black(folder):
    np.random.seed(0)
    pictures = Pictures(str(folder), 'train', augment=True)
    values = {tuple(pictures[0]['inputs'].unique().tolist())
              for _ in range(20)}
    assert values == {(0, 200), (200, )} or values == {(0, 200)}


def test_a_classifier_gives_losses_and_predictions():
    net = PictureClassifier(
        dict(type='acon_mm.MobileNetV1', widen_factor=.25,
             out_indices=(4, ), act_cfg=dict(type='AconC', init='leaky')),
        in_channels=256, num_classes=3)
    batch = dict(inputs=torch.randint(0, 256, (4, 3, 32, 32)).byte(),
                 labels=torch.tensor([0, 1, 2, 0]))
    assert net(**batch, mode='loss')['loss'].isfinite()
    assert len(net.eval()(**batch, mode='predict')) == 4
    assert net(**batch).shape == (4, 3)


def test_top_one_is_the_share_of_right_pictures():
    metric = TopOne()
    logits = torch.tensor([[0., 2., 1.], [3., 0., 0.], [0., 0., 1.]])
    metric.process({}, list(zip(logits, torch.tensor([1, 2, 2]))))
    metric.process({}, [(logits[0], torch.tensor(0))])
    assert metric.evaluate(4) == {'accuracy/top1': 50.}

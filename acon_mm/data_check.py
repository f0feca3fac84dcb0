"""Whether the data that a config names is there, before a training begins."""
import json
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

# heads whose number of classes is that of the data
HEADS = ('bbox_head', 'mask_head', 'decode_head', 'auxiliary_head')


def check_data(config: Config, splits: tuple[str, ...]) -> None:
    """Look at the local files of COCO and segmentation datasets.

    What is of another kind, or lies elsewhere, is left to the dataset.

    Args:
        config (Config): Of a detector or segmentor.
        splits (tuple[str]): Those used, of 'train', 'val' and 'test'.

    Raises:
        ValueError: A file is missing, damaged or empty, or has other classes
            than the config; in one sentence.
    """
    init_default_scope(config.default_scope)
    for split in splits:
        loader = config.get(f'{split}_dataloader') or {}
        for dataset in _datasets(loader.get('dataset')):
            cls = DATASETS.get(dataset['type'])
            classes = (dataset.get('metainfo') or {}).get(
                'classes', getattr(cls, 'METAINFO', {}).get('classes', ()))
            if isinstance(classes, str):
                classes = (classes, )
            if dataset['type'].rpartition('.')[2] == 'CocoDataset':
                _check_coco(split, dataset, classes)
            elif 'seg_map_path' in (dataset.get('data_prefix') or {}):
                _check_segmentation(split, dataset)
            for head, count in _class_counts(config.get('model')):
                if 1 < count < len(classes):  # 1: whatever class it is
                    raise ValueError(
                        f'{head} has num_classes={count}, but {split}_'
                        f'dataloader has {len(classes)} classes: set '
                        f'num_classes={len(classes)}, or metainfo.classes.')


def _datasets(dataset: dict | None) -> Iterator[dict]:
    """Those inside of wrappers, one or several each."""
    for one in dataset if isinstance(dataset, list) else [dataset]:
        if not isinstance(one, dict):
            continue
        if 'dataset' in one or 'datasets' in one:
            yield from _datasets(one.get('dataset', one.get('datasets')))
        elif isinstance(one.get('type'), str) and not one.get('backend_args'):
            yield one


def _check_coco(split: str, dataset: dict, classes: tuple[str, ...]) -> None:
    path = _path(dataset, dataset.get('ann_file', ''))
    if path is None:
        return
    told = f'ann_file {path} of {split}_dataloader'
    if not path.is_file():
        raise ValueError(f'{told} is no file: set data_root to the folder '
                         'of the data.')
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{told} cannot be read ({error}): it is damaged, '
                         'fetch it again.') from error
    if not isinstance(content, dict) or not content.get('images'):
        raise ValueError(f'{told} has no images: give annotations in the '
                         'format of COCO.')
    try:
        _check_content(split, dataset, classes, content, told)
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(
            f'{told} is not as COCO has it ({type(error).__name__}: '
            f'{error}): give annotations in its format.') from error


def _check_content(split: str, dataset: dict, classes: tuple[str, ...],
                   content: dict, told: str) -> None:
    ids = {category['id'] for category in content.get('categories', ())
           if category['name'] in classes}
    if classes and not ids:
        names = [c['name'] for c in content.get('categories', ())]
        raise ValueError(
            f'{told} has the categories {names[:5]} and none of the classes '
            f'{list(classes[:5])}: set metainfo.classes to its own.')
    if ids and split == 'train' and not any(
            one['category_id'] in ids
            for one in content.get('annotations', ())):
        raise ValueError(f'{told} has no boxes of its classes: annotate '
                         'some images first.')
    folder = (dataset.get('data_prefix') or {}).get('img', '')
    image = _path(dataset, str(Path(
        folder, content['images'][0]['file_name'])))
    if image is not None and not image.is_file():
        raise ValueError(f'{image}, the first image of {told}, is no file: '
                         'set data_prefix.img to the folder of the images.')


def _check_segmentation(split: str, dataset: dict) -> None:
    for name, folder in dataset['data_prefix'].items():
        path = _path(dataset, folder)
        if path is not None and not any(
                p.is_file() for p in path.rglob('*')):
            raise ValueError(
                f'{path}, data_prefix.{name} of {split}_dataloader, has no '
                'files: set data_root to the folder of the data.')


def _path(dataset: dict, name: str) -> Path | None:
    """None for what is not on this machine's disks."""
    root = dataset.get('data_root') or ''
    if not name or '://' in f'{root}{name}':
        return None
    return Path(root, name)


def _class_counts(model: dict | list | None,
                  path: str = 'model') -> Iterator[tuple[str, int]]:
    """Path and ``num_classes`` of each head."""
    items = model.items() if isinstance(model, dict) else (
        enumerate(model) if isinstance(model, (list, tuple)) else ())
    for key, part in items:
        inside = f'{path}.{key}'
        if any(head in inside for head in HEADS) and isinstance(
                part, dict) and isinstance(part.get('num_classes'), int):
            yield inside, part['num_classes']
        yield from _class_counts(part, inside)

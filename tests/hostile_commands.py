"""Command lines that are wrong, and what each tool must say.

A row: tool, arguments, words of the sentence. The files that they name are
those of :data:`FILES`.
"""
import zipfile
from pathlib import Path

import torch

CONFIG = Path(__file__).parents[1] / (
    'configs/study/cifar10_mobilenetv1-0.25x_15e.py')
CONFIGS = {
    'syntax.py': 'model = (',
    'raises.py': 'model = 1 / 0',
    'nothing.py': 'a = 1',
    'string.py': "model = 'ResNet'",
    'baseless.py': "_base_ = 'nobody.py'",
    'loop.py': "_base_ = 'loop.py'",
    'corrupt.json': '{"model": ',
    'number.py': 'default_scope = 3',
    'trick.py': "default_scope = '../mmdet'",
    'absent.py': "default_scope = 'mmnothing'",
    'own.py': "default_scope = 'acon_mm'",
    'typo.py': "default_scope = 'mmdet'\n"
               "model = dict(type='acon_mm.RetinaNett')",
    'endless.py': 'train_cfg = dict(max_epochs=0)\nval_evaluator = dict()',
}
FILES = {
    **CONFIGS,
    'empty': '',
    'text.pth': 'no checkpoint',
    'other.csv': 'a,b\n1,2\n',
    'data/shapes_coco/shapes.json': '{',
    'full/shapes_coco/mine.txt': 'mine',
}
CHECKPOINTS = {
    'list.pth': [1],
    'bare.pth': dict(state_dict={}),
    'meta.pth': dict(meta=3),
    'cfg.pth': dict(meta=dict(cfg=4)),
    'scope.pth': dict(meta=dict(cfg='default_scope = 3')),
    'broken.pth': dict(meta=dict(cfg='default_scope = (')),
    'up.pth': dict(meta=dict(cfg="default_scope = '../mmdet'")),
    'numbers.pth': {3: torch.zeros(1)},
    'epoch.pth': dict(epoch=3),
    'foreign.pth': {'conv.weight': torch.zeros(1)},
    'nan.pth': {'conv.weight': torch.tensor([0., torch.nan])},
}


def write_files(folder):
    """Everything that the rows name, below ``folder``."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name, content in CHECKPOINTS.items():
        torch.save(content, folder / name)
    (folder / 'junk.csv').write_bytes(b'\xff\xfe\x00')
    whole = (folder / 'foreign.pth').read_bytes()
    (folder / 'cut.pth').write_bytes(whole[:len(whole) // 2])
    with zipfile.ZipFile(folder / 'paths.pth', 'w') as archive:
        archive.writestr('../../escaped/data.pkl', b'\x80\x02}.')
        archive.writestr('/escaped/version', '3\n')


def rows(tool, *cases):
    return [(tool, *case) for case in cases]


NO_CONFIG = 'cannot be read as a config .*: correct it, or give another'
NO_SCOPE = "set it to the codebase of the model, as in 'mmdet'"
COMMANDS = [
    *rows(
        'convert_checkpoint.py',
        ('', 'arguments are required: src, dst'),
        ('text.pth', 'arguments are required: dst'),
        ('none.pth out.pth', 'none.pth is not a file: give the downloaded'),
        ('full out.pth', 'full is not a file: give the downloaded'),
        ('empty out.pth', r'empty cannot be read .*EOFError.*: download it'),
        ('text.pth out.pth', 'text.pth cannot be read as a checkpoint of t'),
        ('cut.pth out.pth', 'cut.pth cannot be read as a checkpoint of ten'),
        ('paths.pth out.pth', 'paths.pth cannot be read as a checkpoint of'),
        ('list.pth out.pth', 'list is no checkpoint: give a dict of tensors'),
        ('numbers.pth out.pth', 'entry 3 of the checkpoint is a Tensor and'),
        ('epoch.pth out.pth', "entry 'epoch' .* is a int and no tensor: giv"),
        ('bare.pth out.pth', 'none of the released ACON networks: give a'),
        ('foreign.pth out.pth', "'conv.weight'.* is none of the released"),
        ('nan.pth out.pth', 'nan.pth has NaN among the .* of conv.weight: t'),
        ('foreign.pth out.pth --keep-heads', 'arguments: --keep-heads')),
    *rows(
        'publish_model.py',
        ('bare.pth', 'usage: publish_model IN_FILE OUT_FILE'),
        ('none.pth out.pth', 'none.pth is no file: give the path of a ch'),
        ('full out.pth', 'full is no file: give the path of a checkpoint'),
        ('bare.pth empty', 'empty exists: move it away or choose another'),
        ('bare.pth no/out.pth', 'no is not a folder: create it first'),
        ('empty out.pth', 'empty cannot be read as a checkpoint .*: it is da'),
        ('cut.pth out.pth', 'cut.pth cannot be read .*: it is damaged or'),
        ('text.pth out.pth', 'text.pth .*was not read: .* take another'),
        ('paths.pth out.pth', 'paths.pth cannot be read .*: it is damaged'),
        ('list.pth out.pth', 'list.pth has no config: give a checkpoint'),
        ('bare.pth out.pth', 'bare.pth has no config: give a checkpoint'),
        ('meta.pth out.pth', 'meta.pth has no config: give a checkpoint'),
        ('cfg.pth out.pth', 'cfg.pth has no config: give a checkpoint th'),
        ('scope.pth out.pth', f'= 3 of scope.pth is no codebase: {NO_SCOPE}'),
        ('broken.pth out.pth', f'broken.pth has no default_scope: {NO_SCOPE}'),
        ('up.pth out.pth', f"'../mmdet' of up.pth is no code.*: {NO_SCOPE}")),
    *rows(
        'make_shapes.py',
        ('out --train 0', "'train': 0.*; give at least one image"),
        ('out --train many', "invalid int value: 'many'"),
        ('out --size 31', 'size is 31; give at least 32 pixels'),
        ('out --seed -1', 'seed is -1; give one from 0 to'),
        ('out --seed 4294967296', 'seed is 4294967296; give one from 0 to'),
        ('out --format voc', "invalid choice: 'voc'"),
        ('full --format coco', 'shapes_coco exists; choose another folder'),
        ('full --format coco --overwrite', 'shapes_coco is not a folder of'),
        ('data --format coco --overwrite', 'shapes_coco is not a folder of'),
        ('empty/out --format coco', "Not a directory: 'empty")),
    *rows(
        'complexity.py',
        ('--filter VGG', '--filter VGG fits no network: try'),
        ('VGG', 'unrecognized arguments: VGG')),
    *rows(
        'browse_predictions.py',
        ('', 'arguments are required: MODEL'),
        ('epoch.pth --images -1', '--images -1 must not be negative'),
        ('epoch.pth --width 3', '--width 3 must be 64 or more'),
        ('epoch.pth --names a b', '--names has 2 names for 1 models')),
    *rows(
        'plot_activations.py',
        ('', 'arguments are required: model'),
        ('epoch.pth --num-images 0', '--num-images 0 must be positive'),
        ('epoch.pth --formats gif', "invalid choice: 'gif'")),
    *rows(
        'benchmark.py',
        ('', 'arguments are required: mode'),
        ('fly', "invalid choice: 'fly'"),
        ('op --shapes 2,x', "'2,x' is no shape: give positive integers"),
        ('op --shapes 0,3', "'0,3' is no shape: give positive integers"),
        ('op --dtype int8', "invalid choice: 'int8'"),
        ('op --device tpu', "invalid choice: 'tpu'"),
        ('op --repeats 0', "'0' must be a whole number of at least 1"),
        ('op --warmup x', "'x' must be a whole number of at least 0"),
        ('op --out empty', 'empty exists: add --overwrite to replace it'),
        ('model --batch -2', "expected one argument|'-2' must be a whole"),
        ('model --image 64', "'64' is no image: give height and width"),
        ('draw none.csv', 'none.csv is no file: give a table'),
        ('draw empty', "empty has no column 'ms': give a table"),
        ('draw other.csv', "other.csv has no column 'ms': give a table"),
        ('draw junk.csv', 'junk.csv is no text: give a table'),
        ('summary', 'No such file or directory: .*docs/benchmarks/README')),
    *[row for tool in ('train.py', 'test.py') for row in rows(
        tool,
        ('', 'of acon_mm needs a config: give the path of a .py file'),
        ('none.py', 'none.py is no file: give the path of a config'),
        ('syntax.py', f'syntax.py {NO_CONFIG}'),
        ('raises.py', f'raises.py .*ZeroDivisionError.*{NO_CONFIG[30:]}'),
        ('baseless.py', f'baseless.py .*nobody.py.*{NO_CONFIG[30:]}'),
        ('loop.py', f'loop.py .*RecursionError.*{NO_CONFIG[30:]}'),
        ('nothing.py', f'nothing.py has no default_scope: {NO_SCOPE}'),
        ('number.py', f'= 3 of number.py is no codebase: {NO_SCOPE}'),
        ('trick.py', f"'../mmdet' of trick.py is no .*: {NO_SCOPE}"),
        ('absent.py', "'mmnothing' of absent.py is not installed: pip ins"),
        ('own.py', f"'acon_mm' of own.py is no codebase .*: {NO_SCOPE}"))],
    *rows(
        'check_override.py',
        ('', 'arguments are required: config'),
        ('none.py', 'none.py is no file: give the path of a config'),
        ('full', 'full is no file: give the path of a config'),
        ('syntax.py', f'syntax.py {NO_CONFIG}'),
        ('raises.py', f'raises.py .*ZeroDivisionError.*{NO_CONFIG[30:]}'),
        ('corrupt.json', f'corrupt.json {NO_CONFIG}'),
        ('nothing.py', 'nothing.py has no model: give a config with one'),
        ('string.py', 'string.py has no model: give a config with one'),
        ('typo.py', "'acon_mm.RetinaNett' is not registered .*: did you m"),
        ('typo.py --cfg-options a', "--cfg-options 'a' is no KEY=VALUE: wr")),
    *rows(
        'compare_activations.py',
        ('', 'give a config, or --size for the built-in study'),
        (f'{CONFIG} --size small', 'give a config, or --size'),
        ('--size huge', "invalid choice: 'huge'"),
        ('none.py', 'none.py is no file: give the path of a config'),
        ('syntax.py', f'syntax.py {NO_CONFIG}'),
        ('corrupt.json', f'corrupt.json {NO_CONFIG}'),
        ('nothing.py', 'nothing.py has no train_cfg: give the config of'),
        ('endless.py', 'endless.py trains .* long and validates|has no v'),
        (f'{CONFIG} --seeds 0', '--seeds and --jobs must be positive'),
        (f'{CONFIG} --jobs x', "invalid int value: 'x'"),
        (f'{CONFIG} --activations AconC:leaky', "'AconC:leaky' is no act"),
        (f'{CONFIG} --activations :p1=1', "':p1=1' is no activation: wri"),
        (f'{CONFIG} --load-from none.pth', 'none.pth is no file: give it'),
        (f'{CONFIG} --out other.csv', "other.csv has no column 'task': g"),
        (f'{CONFIG} --out junk.csv', 'junk.csv is no text: give a table'),
        (f'{CONFIG} --cfg-options train_cfg.max_epochs=x',
         "trains 'x' long and validates every .*: give positive integers"),
        (f'{CONFIG} --cfg-options train_cfg.val_interval=4',
         'trains 15 long and validates every 4: add --cfg-options')),
    *rows(
        'check_stock_configs.py',
        ('mmnothing', 'mmnothing'),
        ('--jobs 0', "'0' must be a whole number of at least 1"),
        ('--timeout x', "'x' must be a whole number of at least 1"),
        ('--limit 1.5', "'1.5' must be a whole number of at least 1"),
        ('--summary --table none.csv', 'none.csv has no rows: run the'),
        ('--summary --table other.csv', "other.csv has no column 'pack"),
        ('--summary --table junk.csv', 'junk.csv is no text: give a t')),
    *rows(
        'version_table.py',
        ('nothing results.xml', "invalid choice: 'nothing'"),
        ('py313-newest', 'py313-newest needs the RESULTS of its tests'),
        ('py313-newest none.xml', 'none.xml is no report of pytest .*: g'),
        ('py313-newest text.pth', 'text.pth is no report of pytest .*: g')),
]

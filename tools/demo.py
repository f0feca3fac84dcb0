"""Train on drawn images through mim, show what was learned (make demo).

The environment chooses: TASK, a comma-separated list of retinanet, pspnet and
mask_rcnn (default: retinanet,pspnet); DEMO=full trains with ReLU as well.
"""
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from rich.console import Console

from acon_mm import shapes
from acon_mm.demo.page import write_page
from acon_mm.demo.report import report, table_of, worth_opening
from acon_mm.demo.training import Run, TrainingError, train

DATA = Path('data')
CONFIGS = Path('configs/shapes')
PAGE = Path('work_dirs/demo/index.html')
BOX_AP, MIOU = 'coco/bbox_mAP', 'mIoU'
# Per task: name, package, layout of its data, config, what is required.
TASKS = dict(
    retinanet=('RetinaNet', 'mmdet', 'coco',
               'retinanet_r18{}_fpn_400i_shapes.py', {BOX_AP: 0.35}),
    mask_rcnn=('Mask R-CNN', 'mmdet', 'coco',
               'mask-rcnn_r18{}_fpn_400i_shapes.py', {}),
    pspnet=('PSPNet', 'mmseg', 'cityscapes',
            'pspnet_r18-d8{}_200i_shapes.py', {MIOU: 0.6}))
NEXT = """
Next, the same models with ReLU beside them, or Mask R-CNN:
  make demo DEMO=full
  make demo TASK=mask_rcnn
or your own data, any stock config, one override:
  source .venv/bin/activate
  mim train mmdet retinanet_r50_fpn_1x_coco.py \\
      --cfg-options model.backbone.type=acon_mm.ResNet"""


def chosen_tasks():
    tasks = os.environ.get('TASK', 'retinanet,pspnet').split(',')
    for task in tasks:
        if task not in TASKS:
            sys.exit(f'TASK={task} is unknown; choose from '
                     f'{", ".join(TASKS)}')
    return tasks


def chosen_activations():
    demo = os.environ.get('DEMO', '')
    if demo not in ('', 'full'):
        sys.exit(f'DEMO={demo} is unknown; leave it out, or give full')
    activations = {'meta-ACON': '-metaacon'}
    if demo == 'full':
        activations['ReLU'] = ''
    return activations


def draw_missing_data(tasks):
    layouts = sorted({TASKS[task][2] for task in tasks})
    roots = {layout: DATA / f'shapes_{layout}' for layout in layouts}
    for root in roots.values():
        if root.exists() and shapes.read_settings(root) != shapes.DEFAULTS:
            sys.exit(f'{root} was not drawn as the demo needs it; move it '
                     'away, and the demo draws it anew')
    for layout, root in roots.items():
        if not root.exists():
            shapes.write_dataset(root, layout)


def make_runs(tasks, activations, directory):
    for activation, suffix in activations.items():
        for task in tasks:
            model, package, _, config, required = TASKS[task]
            config = CONFIGS / config.format(suffix)
            yield Run(
                model=model,
                activation=activation,
                package=package,
                config=config,
                required=required if suffix else {},
                work_dir=directory / config.stem)


def stop(signum, frame):
    """End as by an exception, which also ends the training."""
    sys.exit(f'stopped by {signal.Signals(signum).name}')


def main():
    console = Console(highlight=False)
    tasks, activations = chosen_tasks(), chosen_activations()
    draw_missing_data(tasks)
    now = datetime.now().strftime('%Y%m%d_%H%M%S')
    directory = PAGE.parent / now
    runs = list(make_runs(tasks, activations, directory))
    reports = []
    try:
        for run in runs:
            train(run, console)
            reports.append(report(run, directory, console))
    except TrainingError as error:
        console.print(f'[bold red]FAILED[/] {error}', soft_wrap=True)
        return 1
    console.print('\n', table_of(reports))
    failures = [sentence for run in runs for sentence in run.failures()]
    write_page(reports, failures, NEXT, PAGE)
    for sentence in failures:
        console.print(f'[bold red]FAILED[/] {sentence}', soft_wrap=True)
    console.print(f'\nEverything is on one page: {PAGE}\n'
                  'Three pictures worth opening:', soft_wrap=True)
    for path, look_for in worth_opening(reports):
        console.print(f'  {path}\n    {look_for}', soft_wrap=True)
    console.print(NEXT, soft_wrap=True)
    return 1 if failures else 0


if __name__ == '__main__':
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    sys.exit(main())

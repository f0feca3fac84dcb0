"""The demo's pictures: predictions, learned curves, histograms of beta."""
import math

import matplotlib.pyplot as plt
import mmcv
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from mmengine.registry import VISUALIZERS, DefaultScope
from mmengine.structures import PixelData

from acon_mm import functional

ENLARGE = 4
NUM_PAIRS = 6
CURVE_RANGE = 4.


def draw_predictions(inspection, title, path):
    """Ground truth and prediction, side by side, of the first images.

    Args:
        inspection (Inspection): A trained model and its predictions.
        title (str): The picture's title.
        path (Path): The PNG to write.
    """
    pairs = [
        _draw_pair(inspection, sample)
        for sample in inspection.samples[:NUM_PAIRS]
    ]
    columns = 2
    rows = math.ceil(len(pairs) / columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(16, 4.1 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for axis, pair in zip(axes.flat, pairs, strict=False):
        axis.imshow(pair)
        axis.axvline(pair.shape[1] / 2, color='white', linewidth=3)
    for axis in axes[0]:
        axis.set_title(f'{"ground truth":^56}{"prediction":^56}')
    _finish(figure, title, path)


def _draw_pair(inspection, sample):
    """One image twice, RGB: with its ground truth, with its prediction."""
    config = inspection.config
    with DefaultScope.overwrite_default_scope(config.default_scope):
        visualizer = VISUALIZERS.build(
            dict(type=config.visualizer.type, name='demo', alpha=0.6))
    visualizer.dataset_meta = inspection.dataset_meta
    image = _enlarge(mmcv.imread(sample.img_path, channel_order='rgb'))
    sample = sample.clone().cpu()
    for name, field in sample.items():
        if name.endswith('sem_seg'):
            ids = _enlarge(field.data[0].numpy())
            sample.set_data({name: PixelData(data=torch.as_tensor(ids)[None])})
        elif name.endswith('_instances'):
            _enlarge_instances(field, 'masks' in sample.pred_instances)
    drawn = []
    for truth in (True, False):
        visualizer.add_datasample(
            'demo', image, sample, draw_gt=truth, draw_pred=not truth)
        drawn.append(visualizer.get_image())
    return np.concatenate(drawn, 1)


def _enlarge(array):
    return array.repeat(ENLARGE, 0).repeat(ENLARGE, 1)


def _enlarge_instances(instances, with_masks):
    instances.bboxes = ENLARGE * torch.as_tensor(instances.bboxes)
    if 'masks' not in instances:
        return
    masks = instances.pop('masks')
    if with_masks:
        masks = np.asarray(getattr(masks, 'masks', masks))
        instances.masks = torch.as_tensor(
            masks.repeat(ENLARGE, 1).repeat(ENLARGE, 2).astype(bool))


def draw_curves(inspection, title, path):
    """Every learned activation: output against input, a line a channel.

    Where beta depends on the image, its mean over the validation images is
    taken.

    Args:
        inspection (Inspection): A trained model and its betas.
        title (str): The picture's title.
        path (Path): The PNG to write.
    """
    activations = inspection.activations
    columns = 4
    rows = math.ceil(len(activations) / columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(11, 2.5 * rows),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout='constrained')
    means = {name: inspection.betas[name].mean(0) for name in activations}
    every = np.concatenate(list(means.values()))
    norm = Normalize(every.min(), every.max())
    colours = plt.colormaps['viridis']
    for axis in axes.flat[len(activations):]:
        axis.axis('off')
    for axis, (name, module) in zip(
            axes.flat, activations.items(), strict=False):
        lines = LineCollection(
            _curves(module, means[name]),
            array=means[name],
            cmap=colours,
            norm=norm,
            linewidth=0.6,
            alpha=0.7)
        axis.add_collection(lines)
        axis.axline((0, 0), slope=1, color='grey', linewidth=0.8, zorder=0)
        axis.axhline(0, color='grey', linewidth=0.8, zorder=0)
        axis.set(
            title=name.removeprefix('backbone.'),
            xlim=(-CURVE_RANGE, CURVE_RANGE),
            ylim=(-CURVE_RANGE, CURVE_RANGE))
    figure.colorbar(lines, ax=axes, label='beta', shrink=0.5)
    figure.supxlabel('input')
    figure.supylabel('output')
    _finish(figure, title, path)


def _curves(module, beta):
    """Points (C, 200, 2) of an activation's channels."""
    inputs = torch.linspace(-CURVE_RANGE, CURVE_RANGE, 200)
    channels = inputs.expand(len(beta), -1)[None]
    with torch.no_grad():
        outputs = functional.acon(channels, module.p1, module.p2,
                                  torch.as_tensor(beta))
    return torch.stack([channels, outputs], -1)[0].numpy()


def draw_beta_histograms(inspection, title, path):
    """Histogram of beta over channels and images, a panel a stage.

    Args:
        inspection (Inspection): A trained model and its betas.
        title (str): The picture's title.
        path (Path): The PNG to write.
    """
    stages = {}
    for name, beta in inspection.betas.items():
        stages.setdefault(_stage(name), []).append(beta.ravel())
    figure, axes = plt.subplots(
        1,
        len(stages),
        figsize=(2.75 * len(stages), 3),
        squeeze=False,
        sharex=True,
        layout='constrained')
    for axis, (stage, betas) in zip(axes.flat, stages.items(), strict=True):
        betas = np.concatenate(betas)
        axis.hist(betas, bins=40, density=True, color='#31688e')
        axis.axvline(betas.mean(), color='#d95f02', linewidth=1.5)
        axis.set(title=f'{stage}: mean {betas.mean():.2f}', yticks=[])
    figure.supxlabel('beta')
    _finish(figure, title, path)


def _stage(name):
    """'layer2' of 'backbone.layer2.0.act1'."""
    return name.removeprefix('backbone.').split('.')[0]


def _finish(figure, title, path):
    figure.suptitle(title)
    if figure.get_layout_engine() is None:
        figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)

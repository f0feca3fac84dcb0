"""What a trained model of the demo predicts, and what its ACONs learned."""
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint

from acon_mm.activations import AconBase
from acon_mm.meta_acon import MetaAconC


@dataclass
class Inspection:
    """A trained model run over the validation images.

    Attributes:
        config (Config): Its config.
        dataset_meta (dict): Names and colours of the classes.
        parameters (int): Number of parameters.
        samples (list[tuple]): Image, uint8 (H, W, 3), RGB, and data sample
            with ground truth and prediction, for the first images.
        activations (dict[str, AconBase]): The ACONs by their path.
        betas (dict[str, np.ndarray]): Per path beta, (images, C); (1, C) if
            it does not depend on the image.
    """
    config: Config
    dataset_meta: dict
    parameters: int
    samples: list
    activations: dict
    betas: dict


def inspect_model(config_path, checkpoint, num_samples=6):
    """Load a trained model and run it over the validation images.

    Args:
        config_path (str | Path): The model's config.
        checkpoint (str | Path): Its weights.
        num_samples (int): Images whose predictions are kept.

    Returns:
        Inspection: See there.
    """
    config = Config.fromfile(config_path)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        loader = _validation_loader(config)
        model = MODELS.build(config.model).eval()
        load_checkpoint(model, str(checkpoint), map_location='cpu')
        activations = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, AconBase)
        }
        betas = _record_betas(activations)
        samples = []
        with torch.no_grad():
            for batch in loader:
                samples += list(zip(batch['inputs'], model.test_step(batch),
                                    strict=True))
    return Inspection(
        config=config,
        dataset_meta=loader.dataset.metainfo,
        parameters=sum(p.numel() for p in model.parameters()),
        samples=[(_as_rgb(image), sample)
                 for image, sample in samples[:num_samples]],
        activations=activations,
        betas={name: np.concatenate(found) for name, found in betas.items()})


def _validation_loader(config):
    loader = dict(config.val_dataloader, num_workers=0)
    loader['persistent_workers'] = False
    return Runner.build_dataloader(loader)


def _as_rgb(image):
    return image.permute(1, 2, 0).numpy()[..., ::-1].astype(np.uint8)


def _record_betas(activations):
    """Collect every activation's beta while the model runs."""
    betas = defaultdict(list)

    def record(name):
        def hook(module, inputs):
            beta = module.compute_beta(*inputs)
            betas[name].append(beta.numpy())

        return hook

    for name, module in activations.items():
        if isinstance(module, MetaAconC):
            module.register_forward_pre_hook(record(name))
        else:
            betas[name].append(module.beta.detach().numpy()[None])
    return betas

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
    """A trained model run over some validation images.

    Attributes:
        config (Config): Its config.
        dataset_meta (dict): Names and colours of the classes.
        parameters (int): Number of parameters.
        samples (list[BaseDataElement]): The images' data samples, with
            ground truth and prediction.
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


def inspect_model(config_path, checkpoint, num_images=20):
    """Load a trained model and run it over the first validation images.

    Args:
        config_path (str | Path): The model's config.
        checkpoint (str | Path): Its weights.
        num_images (int): How many images.

    Returns:
        Inspection: See there.
    """
    config = Config.fromfile(config_path)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        loader = _validation_loader(config, num_images)
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
                samples += model.test_step(batch)
    return Inspection(
        config=config,
        dataset_meta=loader.dataset.metainfo,
        parameters=sum(p.numel() for p in model.parameters()),
        samples=samples,
        activations=activations,
        betas={name: np.concatenate(found) for name, found in betas.items()})


def _validation_loader(config, num_images):
    loader = dict(config.val_dataloader, num_workers=0)
    loader['persistent_workers'] = False
    loader['dataset'] = dict(loader['dataset'], indices=num_images)
    return Runner.build_dataloader(loader)


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

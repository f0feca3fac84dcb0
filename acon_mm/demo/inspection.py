"""What a trained model of the demo predicts, and what its ACONs learned."""
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.structures import BaseDataElement

from acon_mm.browse.models import Source, build, run_over, validation_loader
from acon_mm.learned.record import Layer, Recorder


@dataclass
class Inspection:
    """A trained model run over some validation images.

    Attributes:
        meta (dict): Names and colours of the classes.
        parameters (int): Number of parameters.
        samples (list[BaseDataElement]): The images' data samples, with
            ground truth and prediction.
        layers (dict[str, Layer]): The ACONs by their path.
        before (dict[str, Layer]): The same at the start of the training.
    """
    meta: dict
    parameters: int
    samples: list[BaseDataElement]
    layers: dict[str, Layer]
    before: dict[str, Layer]


def inspect_model(config: Path, checkpoint: Path,
                  num_images: int = 20) -> Inspection:
    """Load a trained model and run it over the first validation images.

    Args:
        config (Path): The model's config.
        checkpoint (Path): Its weights.
        num_images (int): How many images.

    Returns:
        Inspection: See there.
    """
    cfg = Config.fromfile(config)
    loader = validation_loader(cfg, num_images)
    model, start = (build(Source(cfg, weights))
                    for weights in (checkpoint, None))
    recorder, earlier = Recorder(model), Recorder(start)
    samples = run_over(model, loader)
    if earlier.activations:
        run_over(start, loader)
    return Inspection(
        meta=loader.dataset.metainfo,
        parameters=sum(p.numel() for p in model.parameters()),
        samples=samples,
        layers=recorder.close(),
        before=earlier.close())

"""The paper's backbones; ResNets come from the override."""
from acon_mm.backbones.mobilenet_v1 import MobileNetV1
from acon_mm.backbones.senet154 import SENet154
from acon_mm.backbones.shufflenet_v2 import ShuffleNetV2
from acon_mm.backbones.tfnet import TFNet

__all__ = ['MobileNetV1', 'SENet154', 'ShuffleNetV2', 'TFNet']

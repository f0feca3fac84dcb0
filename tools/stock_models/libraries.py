"""Models of timm and torchvision: one small model of each family.

They are registered in scopes of their own, so that ``type='acon_mm.<name>'``
builds them as it does OpenMMLab's.
"""
from collections.abc import Callable
from functools import partial
from importlib import import_module

from mmengine.registry import MODELS, Registry
from torch import nn

from acon_mm.check.subject import StockModel

# the smallest of each module of timm 1.0.31; of a module that has many
# architectures some more; without those above 150 million parameters
TIMM = """
beit_base_patch16_224 halonet_h1 test_byobnet repvgg_a0 mobileone_s0
gernet_s resnet51q eca_botnext26ts_256 cait_xxs24_224 coat_tiny convit_tiny
convmixer_768_32 convnext_atto convnextv2_atto cpubone_nano crossvit_tiny_240
csatv2 cs3darknet_focus_s cspresnet50 cspnext_tiny davit_tiny
deit_tiny_patch16_224 densenet121 dla46x_c dpn48b edgenext_xx_small
efficientformer_l1 efficientformerv2_s0 test_efficientnet efficientnet_b0
mobilenetv2_035 mnasnet_small fbnetc_100 tinynet_e mixnet_s efficientvim_m1
efficientvit_b0 efficientvit_m0 vit_tiny_patch16_dinov3_qkvb
eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 focalnet_tiny_srf
gcvit_xxtiny ghostnet_050 ghostnetv2_100 hardcorenas_b hgnetv2_b0
hiera_tiny_224 sam2_hiera_tiny hrnet_w18_small iformer_t inception_next_atto
inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s
lowformer_b0 mambaout_femto test_coatnet maxvit_rmlp_pico_rw_256
poolformerv2_s12 caformer_s18 gmlp_ti16_224 mixer_s32_224 resmlp_12_224
mobilenetv3_small_050 lcnet_035 mobilenetv5_base mobilevit_xxs mobilevitv2_050
mvitv2_tiny naflexvit_base_patch16_parfac_gap nasnetalarge nest_tiny
nextvit_small test_nfnet nf_regnet_b0 eca_nfnet_l0 pit_ti_224 pnasnet5large
pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_002 regnety_002 regnetz_005
repghostnet_050 repvit_m1 res2next50 resnest14d resnet10t resnet18 seresnet50
ecaresnet26t resnetv2_18 resnetv2_50 rexnet_100 selecsls42 legacy_seresnet18
sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs
swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224
tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m twins_svt_small
twins_pcpvt_small vgg11 vgg11_bn visformer_tiny vit_tiny_patch16_224
vit_tiny_r_s16_p8_224 vit_relpos_small_patch16_224 samvit_base_patch16
vitamin_small_224 volo_d1_224 ese_vovnet19b_dw xception41 xcit_nano_12_p16_224
""".split()
TORCHVISION = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet
inception_v3 maxvit_t mnasnet0_5 mobilenet_v2 mobilenet_v3_small
mobilenet_v3_large regnet_x_400mf regnet_y_400mf resnet18 resnet50
resnext50_32x4d shufflenet_v2_x0_5 squeezenet1_0 squeezenet1_1 swin_t
swin_v2_t vgg11 vgg11_bn vit_b_32 wide_resnet50_2 deeplabv3_mobilenet_v3_large
deeplabv3_resnet50 fcn_resnet50 lraspp_mobilenet_v3_large
fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_resnet50_fpn
fasterrcnn_resnet50_fpn_v2 fcos_resnet50_fpn keypointrcnn_resnet50_fpn
maskrcnn_resnet50_fpn maskrcnn_resnet50_fpn_v2 retinanet_resnet50_fpn
retinanet_resnet50_fpn_v2 ssd300_vgg16 ssdlite320_mobilenet_v3_large
mc3_18 mvit_v2_s r2plus1d_18 r3d_18 s3d swin3d_t
""".split()


def _timm(name: str) -> nn.Module:
    return import_module('timm').create_model(name)


def _torchvision(name: str) -> nn.Module:
    models = import_module('torchvision.models')
    kind = models.get_model_builder(name).__module__.split('.')[2]
    options: dict[str, int | None] = {}
    if kind in ('detection', 'segmentation'):
        options.update(weights_backbone=None)
    if kind == 'detection' and not name.startswith('ssd'):
        options.update(min_size=128, max_size=192)  # not 800
    return models.get_model(name, weights=None, **options)


LIBRARIES: dict[str, tuple[Callable, list[str]]] = dict(
    timm=(_timm, TIMM), torchvision=(_torchvision, TORCHVISION))


def models_of(library: str) -> list[StockModel]:
    """The models of a library, each named as its config."""
    return [StockModel(library, [name], dict(type=name))
            for name in LIBRARIES[library][1]]


def register_libraries() -> None:
    """Let ``MODELS.build`` find their models by name and scope."""
    for scope, (build, names) in LIBRARIES.items():
        if scope in MODELS.children:
            continue
        registry = Registry('model', parent=MODELS, scope=scope)
        for name in names:
            registry.register_module(
                name=name, module=partial(build, name))

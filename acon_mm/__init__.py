"""ACON and meta-ACON for every OpenMMLab model."""
# `installed` refuses what is too old; `width` binds as modules register
from acon_mm import installed, width  # noqa: F401
from acon_mm.activations import AconA, AconB, AconC
from acon_mm.checkpoints.files import register_loader
from acon_mm.checkpoints.safe_globals import register_safe_globals
from acon_mm.counted_keys import tell_left_keys
from acon_mm.learned.hook import AconStatsHook
from acon_mm.meta_acon import MetaAconC
from acon_mm.mim_download import tell_downloader
from acon_mm.open_switch import OpenSwitchHook
from acon_mm.override import swap_activations
from acon_mm.slope_rates import register_slope_rates
from acon_mm.version import __version__
from acon_mm.whole_files import register_whole_files

register_safe_globals()
register_loader()
register_whole_files()
register_slope_rates()
tell_downloader()
tell_left_keys()

__all__ = [
    'AconA', 'AconB', 'AconC', 'AconStatsHook', 'MetaAconC',
    'OpenSwitchHook', 'swap_activations', '__version__'
]

"""The rows of docs/versions.md: what each has that CI has not."""
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / 'requirements'
NUMPY_2 = ('numpy==2.4.6', )
NEWEST = ('torch==2.14.1', 'torchvision==0.29.1', *NUMPY_2)
FORKS = (
    'onedl-mmcv==2.3.6', 'onedl-mmdetection==3.5.1',
    'onedl-mmengine==0.10.12', 'onedl-mmpretrain==1.3.6',
    'onedl-mmsegmentation==1.4.2',
    # what onedl-mmdetection needs more
    'imagecorruptions-imaug==1.1.5', 'imageio==2.38.1', 'imaug==0.4.3',
    'lazy-loader==0.6', 'llvmlite==0.50.0', 'numba==0.68.1',
    'opencv-python-headless==4.11.0.86', 'scikit-image==0.26.0',
    'tifffile==2026.11.8')

# What a row changes in the lists of requirements/, which are those of
# continuous integration. A fork takes the place of its original.
ROWS = {
    'py310-torch21': ('3.10', ('torch==2.1.2', 'torchvision==0.16.2')),
    'py311-torch213': ('3.11', ()),
    'py311-numpy2': ('3.11', NUMPY_2),
    'py312-torch211': ('3.12', ('torch==2.11.0', 'torchvision==0.26.0')),
    'py313-newest': ('3.13', NEWEST),
    'py313-forks': ('3.13', (*NEWEST, *FORKS)),
}
ORIGINALS = {
    'onedl-mmcv': 'mmcv',
    'onedl-mmdetection': 'mmdet',
    'onedl-mmengine': 'mmengine',
    'onedl-mmpretrain': 'mmpretrain',
    'onedl-mmsegmentation': 'mmsegmentation',
}


def pinned_lists(changed: tuple[str, ...]) -> dict[str, str]:
    """The files of ``requirements/`` that a row installs, by name."""
    own = {pin.split('==')[0]: pin for pin in changed}
    replaced = {ORIGINALS.get(name, name) for name in own}
    lists = {}
    for name in ('constraints', 'torch', 'torchvision'):
        lines = (REQUIREMENTS / f'{name}.txt').read_text().splitlines()
        lists[name] = [line for line in lines
                       if line.split('==')[0] not in replaced]
        if name in own:
            # another PyTorch brings what it needs
            lists[name] = [own.pop(name)]
    lists['constraints'] += own.values()
    return {name: '\n'.join(lines) + '\n' for name, lines in lists.items()}

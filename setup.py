"""Put configs, tools and the model index where ``mim`` looks for them.

Everything else about the package is in ``setup.cfg``.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# of no use outside the repository
REPOSITORY_TOOLS = ('demo.py', 'gpu_check.sh', 'check_stock_configs.py',
                    'stock_models', 'version_rows.py', 'version_table.py')


class BuildWithMim(build_py):
    """Add the folder ``acon_mm/.mim`` to what a wheel holds."""

    def run(self):
        # a module that was deleted since the last build must not come back
        shutil.rmtree(Path(self.build_lib, 'acon_mm'), ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, 'acon_mm', '.mim')
        mim.mkdir(parents=True)
        shutil.copy('model-index.yml', mim)
        for folder in ('configs', 'tools'):
            shutil.copytree(
                folder,
                mim / folder,
                ignore=shutil.ignore_patterns(
                    '__pycache__', *REPOSITORY_TOOLS))


setup(cmdclass=dict(build_py=BuildWithMim))

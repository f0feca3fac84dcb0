"""Which weights are published: none yet, as ``mim download`` has to say."""
import sys


def tell_downloader() -> None:
    """Say under ``mim download`` that a config comes without weights.

    mim has no word for that. It reads the config, which imports this package
    (``custom_imports``): nothing else of ours runs there.
    """
    if 'mim' in sys.modules and sys.argv[1:2] == ['download']:
        print('No weights of acon_mm are published yet: this is the config '
              'alone.')

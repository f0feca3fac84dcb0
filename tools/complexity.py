"""Print parameters and FLOPs of the paper's networks beside the paper's."""
import argparse

from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

from acon_mm.complexity import measure, paper_networks


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--filter', default='', help='only networks with this in their name')
    return parser.parse_args()


def main() -> None:
    wanted = parse_args().filter
    networks = [n for n in paper_networks()
                if wanted.lower() in n.name.lower()]
    if not networks:
        known = ', '.join(n.name for n in paper_networks())
        raise SystemExit(f'--filter {wanted} fits no network: try {known}.')
    MMLogger.get_current_instance().setLevel('WARNING')
    table = Table(
        title='224 x 224, 1000 classes, figures in millions; FLOPs of '
        'convolutions and linear layers as in the paper, then of all')
    table.add_column('network', no_wrap=True)
    for title in ('params', 'in paper', 'FLOPs', 'in paper', 'differ by',
                  'all FLOPs'):
        table.add_column(title, justify='right')
    for network in networks:
        size = measure(network.backbone)
        table.add_row(
            network.name, f'{size.params / 1e6:.2f}', f'{network.params}',
            f'{size.flops / 1e6:.1f}', f'{network.flops}',
            f'{size.flops / 1e6 / network.flops - 1:+.1%}',
            f'{size.all_flops / 1e6:.1f}')
    Console().print(table)


if __name__ == '__main__':
    main()

"""The override on stock models: each backbone, neck and head type once.

``docs/stock_models.csv`` has all of them; the sample is drawn from it.
"""
import sys
from pathlib import Path

import cpu_torchvision
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / 'tools'))

from stock_models.checks import check_model  # noqa: E402
from stock_models.configs import StockModel, load_config  # noqa: E402
from stock_models.table import cover, passed, read_rows  # noqa: E402

SAMPLE = cover([row for row in read_rows(ROOT / 'docs' / 'stock_models.csv')
                if passed(row) and not row['same_as']])


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('row', SAMPLE, ids=lambda row: row['config'])
def test_the_override_fits(scope, row):
    scope(row['package'])
    cpu_torchvision.make_importable()  # mmpretrain's models
    config = load_config(row['package'], row['config'])
    result = check_model(StockModel(row['package'], [row['config']],
                                    config.model, config.error), timeout=120)
    assert (result['stock'], result['paper'], result['all']) == (
        'pass', 'pass', 'pass')
    assert result['paper_swapped'] == int(row['paper_swapped'])
    assert result['all_swapped'] == int(row['all_swapped'])

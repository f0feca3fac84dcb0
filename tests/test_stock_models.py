"""The override on stock models: each backbone, neck and head type once.

``docs/stock_models.csv`` has all of them; the sample is drawn from it.
"""
import sys
from pathlib import Path

import pytest

from acon_mm.check.subject import StockModel

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / 'tools'))

from stock_models.checks import PLACEMENTS, check_model  # noqa: E402
from stock_models.configs import WHOLE, load_config  # noqa: E402
from stock_models.table import cover, passed, read_rows  # noqa: E402

# the tests install no other packages
ROWS = [row for row in read_rows(ROOT / 'docs' / 'stock_models.csv')
        if row['package'] in WHOLE and passed(row)
        # torchvision's RoIAlign in Python, its stand-in here, takes 20 GB
        and row['model'] != 'CrowdDet']
SAMPLE = cover([row for row in ROWS if not row['same_as']])
# folders of configs whose models take more than 10 s
LONG = {'condinst', 'cornernet', 'ddq', 'detectors', 'dino', 'queryinst',
        'reid', 'san', 'setr', 'tridentnet'}
# and backbones that do in every model
HEAVY = {'BEiT', 'HourglassNet', 'MAE', 'ResNeXt', 'SSDVGG'}
# of each other backbone the smallest model
QUICK = {}
for _row in sorted(ROWS, key=lambda row: int(row['parameters'])):
    if _row['backbone'] not in HEAVY and (
            _row['config'].partition('/')[0] not in LONG):
        QUICK.setdefault(_row['backbone'], _row)
# a head or neck needs 'all'; 'paper' is checked once for each backbone
CASES = [(row, 'all') for row in SAMPLE]
CASES += [(row, placement) for row in QUICK.values()
          for placement in PLACEMENTS if (row, placement) not in CASES]


def is_slow(row, placement):
    return placement != 'all' or row not in QUICK.values()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('row, placement', [
    pytest.param(row, placement, id=f'{row["config"]}-{placement}',
                 marks=[pytest.mark.slow] * is_slow(row, placement))
    for row, placement in CASES])
def test_the_override_fits(scope, row, placement):
    scope(row['package'])
    config = load_config(row['package'], row['config'])
    model = StockModel(row['package'], [row['config']], config.models[0])
    result = check_model(model, timeout=600, placements=[placement])
    assert (result['stock'], result[placement]) == ('pass', 'pass')
    # the table's numbers are from before functions had seats
    assert result[f'{placement}_swapped'] > 0


def test_the_sample_has_every_type():
    types = {t for row in ROWS for t in row['parts'].split()}
    assert len(types) > 150
    assert types == {t for row in SAMPLE for t in row['parts'].split()}

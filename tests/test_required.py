"""What a GPU's tables must show, by tables that were written here."""
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from acon_mm.benchmark import write_rows

TOOL = Path(__file__).parents[1] / 'tools/benchmark.py'


def op_rows():
    """All that is required of the op is reached, if only just."""
    rows = []
    for shape, dtype, last in (('16x256x128x256', 'float32', False),
                               ('16x256x128x256', 'bfloat16', True),
                               ('2x512x13x21', 'float32', False)):
        for function, phase, ms, rate in (
                ('copy', 'forward', 1., 1000.),
                ('ReLU', 'both', 10., 500.),
                ('AconC', 'forward', 1., 930.),
                ('AconC', 'backward', 1., 850. if last else 930.),
                ('AconC', 'host', .06, 0.),
                ('MetaAconC', 'both', 17., 300.),
                ('MetaAconC', 'host', .08, 0.)):
            if shape.startswith('2x'):  # too small to keep a GPU busy
                rate, ms = rate / 9, ms * (1 if phase == 'host' else 3)
            rows.append(dict(function=function, shape=shape, dtype=dtype,
                             channels_last=last, phase=phase, ms=ms,
                             gb_per_s=rate))
    return rows


def model_rows():
    return [dict(model=model, activation=activation, over_relu=time,
                 peak_over_relu=peak)
            for model in ('retinanet_r50_fpn_1x_coco.py', 'pspnet_r50.py')
            for activation, time, peak in (
                ('ReLU', 1., 1.), ('MetaAconC', 1., 1.),
                ('AconC all', 1., 1.), ('MetaAconC all', 1.1, 1.))]


@pytest.fixture
def verdict(monkeypatch, tmp_path, capsys):
    """The exit code, and the lines that do not pass."""
    spec = importlib.util.spec_from_file_location('benchmark', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(op=(), models=(), *arguments):
        for name, rows in (('op-cuda-x.csv', op), ('model-cuda.csv', models)):
            if rows:
                write_rows(rows, tmp_path / name)
        monkeypatch.setattr(sys, 'argv', [
            'benchmark.py', 'required', '--folder', str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as end:
            module.main()
        lines = capsys.readouterr().out.splitlines()
        assert any('result' in line for line in lines)
        return end.value.code, [line for line in lines if (
            'falls short' in line or 'not measured' in line)]

    return run


def test_all_is_reached(verdict):
    assert verdict(op_rows(), model_rows()) == (0, [])


@pytest.mark.parametrize('where, change, figure', [
    (dict(function='AconC', phase='backward', channels_last=True),
     dict(gb_per_s=840.), 'AconC backward, channels last'),
    (dict(function='AconC', phase='forward', channels_last=False),
     dict(gb_per_s=920.), 'AconC forward'),
    (dict(function='AconC', phase='backward', channels_last=False),
     dict(gb_per_s=920.), 'AconC backward, contiguous'),
    (dict(function='MetaAconC', phase='both'), dict(ms=17.1),
     'MetaAconC, large'),
    (dict(function='AconC', phase='host'), dict(ms=.061),
     'AconC: microseconds'),
    (dict(function='MetaAconC', phase='host'), dict(ms=.081),
     'MetaAconC: microseconds'),
    (dict(model='retinanet_r50_fpn_1x_coco.py', activation='MetaAconC'),
     dict(over_relu=1.01), 'MetaAconC: time of a step'),
    (dict(model='retinanet_r50_fpn_1x_coco.py', activation='AconC all'),
     dict(over_relu=1.01), "AconC at 'all': the same"),
    (dict(model='retinanet_r50_fpn_1x_coco.py', activation='MetaAconC all'),
     dict(over_relu=1.11), "MetaAconC at 'all': the same"),
    (dict(model='pspnet_r50.py', activation='AconC all'),
     dict(peak_over_relu=1.01), 'peak memory'),
    (dict(model='pspnet_r50.py', activation='MetaAconC all'),
     dict(peak_over_relu=1.01), "MetaAconC at 'all'"),
], ids=lambda value: value if isinstance(value, str) else '')
def test_one_figure_falls_short(where, change, figure, verdict):
    rows = op_rows(), model_rows()
    chosen = [row for table in rows for row in table
              if where.items() <= row.items()]
    chosen[0].update(change)
    code, lines = verdict(*rows)
    assert code == 1 and len(lines) == 1
    assert figure in lines[0] and 'falls short' in lines[0]


def test_tables_of_a_cpu_do_not_count(verdict, tmp_path):
    write_rows(op_rows(), tmp_path / 'op-cpu-float32.csv')
    code, lines = verdict(models=model_rows())
    assert code == 1 and len(lines) == 6
    assert all('not measured' in line for line in lines)


@pytest.mark.parametrize('losses, result', [
    ([4., 2., 1.], None), ([1., 2., .95], 'falls short'),
    ([1., float('nan')], 'falls short'), ([1.], 'not measured')])
def test_a_training(losses, result, verdict, tmp_path):
    log = tmp_path / 'run/1/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(''.join(
        f'{json.dumps(dict(loss=loss, lr=.1))}\n' for loss in losses)
        + '{"coco/bbox_mAP": 0.1}\n')
    code, lines = verdict(op_rows(), model_rows(), '--training',
                          str(tmp_path / 'run'))
    assert code == (result is not None) and len(lines) == code
    assert all('mim train' in line and result in line for line in lines)

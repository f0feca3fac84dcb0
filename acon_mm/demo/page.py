"""The demo's results as one page that needs no network."""
import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from acon_mm.demo.report import HEADER, Reported
from acon_mm.whole_files import whole

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 0 auto;
       max-width: 1100px; padding: 1rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .8rem; }
td:nth-child(n+3) { text-align: right; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; }
figcaption { color: #444; }
code { background: #f3f3f3; padding: .1rem .3rem; }
"""
TITLES = dict(predictions='Predictions', losses='Loss',
              curves='Learned functions', derivatives='First derivatives',
              betas='Distribution of beta')


def write_page(reports: Sequence[Reported], failures: Sequence[str],
               commands: str, path: Path) -> None:
    """Write results, curves, losses and predictions of all runs.

    Args:
        reports (Sequence[Reported]): At least one.
        failures (Sequence[str]): What did not come out as required.
        commands (str): What to try next.
        path (Path): The page; one that is there is replaced.
    """
    with whole(path) as draft:
        draft.write_text('\n'.join(_lines(reports, failures, commands)),
                         encoding='utf-8')


def _lines(reports: Sequence[Reported], failures: Sequence[str],
           commands: str) -> Iterable[str]:
    yield ('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
           '\n<meta name="viewport" content="width=device-width">\n'
           f'<title>acon_mm demo</title>\n<style>{STYLE}</style>\n</head>\n'
           '<body>\n<h1>What the demo learned</h1>')
    yield ('<p>Stock models, trained from scratch on drawn images with the '
           'activations of <a href="https://arxiv.org/abs/2009.04759">'
           'Activate or Not</a> by a line of their configs.</p>')
    yield from (f'<p><strong>FAILED</strong> {escape(sentence)}</p>'
                for sentence in failures)
    yield '<table>'
    yield _row('th', HEADER)
    yield from (_row('td', one.cells) for one in reports)
    yield '</table>'
    for one in reports:
        yield f'<h2>{escape(str(one.run))}</h2>'
        yield f'<p><code>{escape(" ".join(one.run.command))}</code></p>'
        for kind, picture in one.pictures.items():
            yield _figure(f'{one.run}: {TITLES[kind]}', picture,
                          one.captions[kind])
    yield f'<h2>Next</h2>\n<pre>{escape(commands.strip())}</pre>'
    yield '</body>\n</html>\n'


def _row(kind: str, cells: Iterable[str]) -> str:
    inside = ''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)
    return f'<tr>{inside}</tr>'


def _figure(title: str, picture: Path, look_for: str) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    sentence = look_for[0].upper() + look_for[1:]
    return (f'<figure><h3>{escape(title)}</h3>'
            f'<img alt="{escape(title)}" '
            f'src="data:image/png;base64,{data}">'
            f'<figcaption>{escape(sentence)}</figcaption>'
            '</figure>')

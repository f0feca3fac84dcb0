"""The documents' code: what is in them, and checks of their commands.

Run as a program it executes the Python of the pages that it is given, each
page from its top to its end, and prints what failed as JSON.
"""
import contextlib
import io
import json
import re
import runpy
import shlex
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from markdown_it import MarkdownIt
from torch.distributed import run as torchrun

ROOT = Path(__file__).parents[1]
# made by tools, which have tests of their own
MADE = {'stock_models.md', 'transfer.md', 'versions.md'}
PAGES = sorted(
    [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md',
     *(page for page in ROOT.glob('docs/**/*.md')
       if page.name not in MADE and '_build' not in page.parts),
     *ROOT.glob('configs/*/README.md')])
CONFIG = '# config\n'
RUN = '<!-- run -->'


class Block(NamedTuple):
    """A block of code; ``run`` is whether its commands are to be run."""
    page: Path
    language: str
    code: str
    run: bool


def blocks(page: Path) -> list[Block]:
    found, run = [], False
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == 'fence':
            found.append(Block(page, token.info.strip(), token.content, run))
        run = token.type == 'html_block' and token.content.strip() == RUN
    return found


def python_of(page: Path, configs: bool = False) -> list[str]:
    """Its Python, without the configs or only those."""
    return [block.code for block in blocks(page)
            if block.language == 'python'
            and block.code.startswith(CONFIG) is configs]


def commands(block: Block) -> list[list[str]]:
    """Each command as words, without the variables in front."""
    found = []
    for line in block.code.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r'[A-Z_]+=', words[0]):
            words = words[1:]
        if words:
            found.append(words)
    return found


def check(words: list[str]) -> None:
    """Parse a command as the program would that it calls.

    Raises:
        Exception: It would not be understood.
    """
    first, *rest = words
    if first == 'mim':
        _check_mim(*rest)
    elif first == 'python' and rest[0].startswith('tools/'):
        parse_by_tool(ROOT / rest[0], rest[1:])
    elif first == 'make':
        _check_make(rest)
    elif first == 'pip':
        assert rest[0] == 'install'
        _check_pip(rest[1:])
    elif first == 'torchrun':
        args = torchrun.parse_args(rest)
        assert (ROOT / args.training_script).is_file()
        assert (ROOT / args.training_script_args[0]).is_file()
    elif first == 'pytest':
        files = [word for word in rest if word.startswith('tests/')]
        assert all((ROOT / file).is_file() for file in files)
    else:
        assert first in ('cd', 'git', 'mkdir', 'pre-commit', 'source'), words


def parse_by_tool(tool: Path, words: list[str]):
    """What a tool's own parser makes of its arguments."""
    path = [str(tool.parent), *sys.path]
    with mock.patch.object(sys, 'argv', [str(tool), *words]), \
            mock.patch.object(sys, 'path', path):
        return runpy.run_path(str(tool), run_name='tool')['parse_args']()


def _check_mim(command: str, package: str, *rest: str) -> None:
    module = __import__(f'mim.commands.{command}', fromlist=['cli'])
    cli = module.cli
    parsed = cli.make_context(command, [package, *rest]).params
    others = list(parsed.get('other_args', ()))
    if command == 'run':
        assert package == 'acon_mm'
        parse_by_tool(ROOT / f'tools/{parsed["command"]}.py', others)
    elif command in ('train', 'test'):
        told_config(command, package, parsed['config'], others)
    else:
        assert command in ('search', 'download')


def told_config(command: str, package: str, config: str, others: list[str]):
    """The config of a ``mim train`` or ``mim test`` with its options."""
    from mmengine.config import Config
    scope = dict(mmsegmentation='mmseg').get(package, package)
    stock = Path(find_spec(scope).origin).parent / '.mim'
    path = ROOT / config
    if not path.is_file():
        path, = stock.rglob(f'configs/**/{config}')
    cfg = Config.fromfile(path)
    assert cfg.default_scope == scope, f'{config} is for {cfg.default_scope}'
    if command == 'test':
        others = ['checkpoint.pth', *others]
    args = parse_by_tool(stock / f'tools/{command}.py', [str(path), *others])
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def _check_make(rest: list[str]) -> None:
    targets = [word for word in rest if '=' not in word]
    text = (ROOT / 'Makefile').read_text()
    for target in targets or ['help']:
        name = target.replace('.venv', '$(VENV)')
        assert re.search(rf'^{re.escape(name)}:', text, re.M) or (
            target == '.venv/.package'), f'make {target}'


def _check_pip(wanted: list[str]) -> None:
    from packaging.requirements import Requirement
    from setuptools.config.setupcfg import read_configuration
    extras = read_configuration(ROOT / 'setup.cfg')['options'][
        'extras_require']
    for word in wanted:
        extra = re.fullmatch(r'\.(?:\[(\w+)\])?', word)
        if extra is None:
            Requirement(word)
        elif extra[1]:
            assert extra[1] in extras, word


def main() -> None:
    failures = {}
    for page in map(Path, sys.argv[1:]):
        namespace: dict = {}
        for code in python_of(page):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(code, namespace)
            except Exception:
                failures[str(page)] = f'{code}\n{traceback.format_exc()}'
                break
    print(json.dumps(failures))


if __name__ == '__main__':
    main()

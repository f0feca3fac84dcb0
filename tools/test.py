"""Evaluate a model: what ``mim test acon_mm CONFIG`` runs."""

from stock_tool import run

if __name__ == '__main__':
    run('test.py')

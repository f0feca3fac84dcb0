"""Train a model: what ``mim train acon_mm CONFIG`` runs."""

from stock_tool import run

if __name__ == '__main__':
    run('train.py')

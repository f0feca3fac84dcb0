"""Files that are replaced whole: a good checkpoint by a good one.

MMEngine empties a file before it writes a checkpoint into it, so that a full
disk or a signal costs the one that was there.
"""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a draft to write, which then takes the place of ``path``.

    The draft is a hidden file beside ``path``. An exception removes it; what
    a signal leaves of it is overwritten the next time.

    Args:
        path (str or Path): The file; of a link it is what that leads to.
    """
    path = Path(path).resolve()
    draft = path.with_name(f'.{path.name}.part')
    try:
        yield draft
        with draft.open('rb+') as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class WholeFiles(LocalBackend):
    """MMEngine's local files, each of which is written whole or not at all.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, as :meth:`LocalBackend.put` does."""
        if Path(filepath).exists() and not Path(filepath).is_file():
            super().put(obj, filepath)  # a pipe or a device
            return
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        with whole(filepath) as draft:
            draft.write_bytes(obj)


def register_whole_files() -> None:
    """Let MMEngine save checkpoints, and all that it calls local, so."""
    register_backend('local', WholeFiles, prefixes='', force=True)

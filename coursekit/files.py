"""Files that appear under their names only when they are complete."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file under a temporary name, which takes the place of `path` when the block ends well.

    Parameters
    ----------
    path : path-like
        The name that the file shall have; a file that has it now stays as it is until then.

    Yields
    ------
    pathlib.Path
        Where to write: a hidden name in the same folder, for this process alone, with the same suffix. It is gone
        after the block, whether that ended well, by an error, or by Ctrl-C.

    Raises
    ------
    OSError
        The block wrote nothing there, or the folder does not let a file be replaced.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "variables.json"
    >>> with replacing(path) as partial:
    ...     _ = partial.write_text("{}")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('{}', ['variables.json'])
    """
    path = Path(path)
    partial = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)

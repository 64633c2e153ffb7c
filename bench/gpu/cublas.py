"""cuBLAS under the name by which CTranslate2 looks for it.

Its wheel is built for CUDA 12 and opens `libcublas.so.12` when it is first needed. Where only a later one is
installed, as with torch's wheel for CUDA 13, a link of that name may serve, since functions are looked up
by their names. Whether it does is seen when the engine is loaded.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

NAMES = ("libcublas.so", "libcublasLt.so")
VERSION = 12

#: Of the dynamic loader; read when a process starts, so only children have what is set here.
VARIABLE = "LD_LIBRARY_PATH"


def is_found(name: str = f"{NAMES[0]}.{VERSION}") -> bool:
    """Whether the loader finds the library in this process, and so would CTranslate2."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def installed_folders() -> list[Path]:
    """Where NVIDIA's wheels and its installer put libraries."""
    wheels = [Path(entry) / "nvidia" for entry in sys.path if entry]
    return [
        *(folder for wheel in wheels for folder in wheel.glob("*/lib")),
        *Path("/usr/local").glob("cuda*/lib64"),
    ]


def offer(links: Path, folders: Iterable[Path]) -> Path | None:
    """Link the highest version found in `folders` under CTranslate2's names in `links`, for all children.

    Returns:
        The folder that has it, or None if none has.
    """
    found = [folder for folder in folders if any(folder.glob(f"{NAMES[0]}.[0-9]*"))]
    if not found:
        return None
    chosen = max(found, key=lambda folder: max(map(_major, folder.glob(f"{NAMES[0]}.[0-9]*"))))
    for name in NAMES:
        for library in sorted(chosen.glob(f"{name}.[0-9]*"), key=_major)[-1:]:
            (links / f"{name}.{VERSION}").symlink_to(library)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = os.pathsep.join([str(links), str(chosen), *([before] if before else [])])
    return chosen


def _major(library: Path) -> int:
    return int(library.name.split(".so.")[1].split(".")[0])

# SPDX-License-Identifier: Apache-2.0
"""nginx as the router's reference and as its upstream, each with one worker on a given core."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.processes import Started, descendants
from bench.sidecar import serving

_HERE: Final = Path(__file__).parent


@asynccontextmanager
async def nginx(
    folder: Path, template: str, *, core: int, asked: str, **values: object
) -> AsyncIterator[list[int]]:
    """Run one, and return the process ids of its workers once `asked` is answered."""
    folder.mkdir()
    folder.chmod(0o777)  # the workers are nobody
    text = (_HERE / template).read_text()
    for name, value in {"DIR": folder, **values}.items():
        text = text.replace(f"@{name}@", str(value))
    file = folder / "nginx.conf"
    file.write_text(text)
    argv = ["/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", file]
    process = Started(argv, folder / "log", core=core)
    try:
        await serving(process, asked)
        yield descendants(process.pid)
    finally:
        process.end()

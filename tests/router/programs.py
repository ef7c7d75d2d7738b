# SPDX-License-Identifier: Apache-2.0
"""What these tests run: nginx with Lua and a Redis, as Debian packages them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from cluster import packages
from cluster.command import run
from cluster.errors import Unsupported
from cluster.paths import cache as cache_directory

NEEDED: Final = {
    "/usr/sbin/nginx": "nginx",
    "/usr/lib/nginx/modules/ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "/usr/share/lua/5.1/resty/core.lua": "lua-resty-core",
    "/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so": "lua-cjson",
    "redis-server": "redis-server",
}
NOBODY: Final = 65532  # what the image runs as


@cache
def ensure() -> None:
    """Install what is missing.

    Raises:
        Unsupported: this is not Debian, or we may not install; the message names the packages.
    """
    packages.ensure(NEEDED)


@cache
def redis_client() -> Path:
    """Return the Lua file of Debian's lua-nginx-redis.

    Taken out of its package as in images/router/Dockerfile, because it depends on nginx-extras.
    """
    place = cache_directory() / "lua-nginx-redis"
    file = place / "usr/share/lua/5.1/nginx/redis.lua"
    if not file.exists():
        with tempfile.TemporaryDirectory() as scratch:
            run(["sh", "-c", f"cd {scratch} && apt-get download lua-nginx-redis"])
            package = next(Path(scratch).glob("*.deb"), None)
            if package is None:
                raise Unsupported("apt-get cannot download lua-nginx-redis; run apt-get update")
            place.mkdir(parents=True, exist_ok=True)
            run(["dpkg-deb", "-x", package, place])
    return file


def end(process: subprocess.Popen[bytes], *, timeout_s: float = 10) -> None:
    """End a process that we started, kindly first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def install_router(source: Path, target: Path) -> Path:
    """Return a copy of the router as its image has it.

    A copy, because whoever the router runs as may not be allowed to read the checkout.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.md", "Dockerfile"))
    (target / "lua/nginx").mkdir()
    shutil.copy(redis_client(), target / "lua/nginx/redis.lua")
    run(["chmod", "-R", "a+rX", target])
    return target

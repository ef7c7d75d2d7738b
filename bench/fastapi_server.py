# SPDX-License-Identifier: Apache-2.0
"""The same reads by FastAPI and uvicorn. Runs in an environment of its own (locks/bench.txt) and
imports nothing of ours.

`/default/...` returns what a handler has at hand, a dict, as FastAPI's documentation begins.
`/tuned/...` declares a response model and returns its instance. Both ask for the same API key in
the same way as we do, a SHA-256 compared in constant time, and both find the account ready in
memory, already rounded: they are spared what our sidecar does with each new snapshot.

Arguments: the port, and a JSON file with the two answers.
"""

import hashlib
import hmac
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, create_model

HEADER: Final = APIKeyHeader(name="X-API-Key")


def checked_key(digest: str) -> Any:
    """Return the dependency that lets the owner of one key in."""

    async def check(key: Annotated[str, Security(HEADER)]) -> str:
        presented = hashlib.sha256(key.encode()).hexdigest()
        if not hmac.compare_digest(presented, digest):
            raise HTTPException(status_code=401)
        return key

    return check


def model_of(name: str, example: dict[str, Any]) -> type[BaseModel]:
    """Return a model with the fields of `example`."""
    fields: dict[str, Any] = {field: (_type_of(field, v), ...) for field, v in example.items()}
    return create_model(name, **fields)


def _type_of(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return model_of(name.title(), value)
    if isinstance(value, list):
        return list[model_of(name.title(), value[0])]  # type: ignore[misc]  # made at run time
    return str | None if value is None else type(value)


def app(answers: dict[str, dict[str, Any]], digest: str) -> FastAPI:
    """Return the application: for each answer the default way and the tuned one."""
    made = FastAPI()
    guard = [Depends(checked_key(digest))]
    for name, answer in answers.items():
        model = model_of(f"{name.title()}Answer", answer)
        made.add_api_route(
            f"/default/{name}",
            _returning(answer),
            response_model=None,  # what FastAPI takes for a handler without a return annotation
            dependencies=guard,
        )
        made.add_api_route(
            f"/tuned/{name}",
            _returning(model.model_validate(answer)),
            response_model=model,
            dependencies=guard,
        )
    return made


def _returning(answer: Any) -> Any:
    async def read() -> Any:
        return answer

    return read


def main() -> None:
    """Serve until told to stop."""
    port, file = sys.argv[1:]
    given = json.loads(Path(file).read_text())
    server = app(given["answers"], given["digest"])
    # With uvloop and httptools, as `uvicorn[standard]`; without its access log, as ours.
    uvicorn.run(server, host="127.0.0.1", port=int(port), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()

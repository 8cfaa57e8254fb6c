"""The service, and the command `base-api` that serves it."""

import os

import uvicorn
from fastapi import FastAPI

app = FastAPI(title="base_api")


@app.get("/")
def read_root() -> dict[str, str]:
    return {"message": "Hello from Nix"}


def run() -> None:
    """Serve on 0.0.0.0:8000, or where HOST and PORT say."""
    uvicorn.run(app, host=os.environ.get("HOST", "0.0.0.0"), port=int(os.environ.get("PORT", "8000")))

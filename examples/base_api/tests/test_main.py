"""The service over HTTP, without a server."""

from fastapi.testclient import TestClient

from base_api.main import app


def test_the_root_greets() -> None:
    response = TestClient(app).get("/")

    assert response.status_code == 200
    assert response.json() == {"message": "Hello from Nix"}

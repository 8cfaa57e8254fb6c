"""The smallest FastAPI service: one route, one command."""

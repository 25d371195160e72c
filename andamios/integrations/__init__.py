"""Integrations with FastAPI and Pydantic."""

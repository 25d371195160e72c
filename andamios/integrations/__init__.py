"""
Integrations with FastAPI and Pydantic.

FastAPI is an extra, so that its part is imported by path: ``andamios.integrations.fastapi``.
"""

from andamios.integrations.pydantic import PydanticModelAdapter

__all__ = ["PydanticModelAdapter"]

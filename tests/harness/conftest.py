"""
What holds for the harness's own tests.

Some run pytest inside pytest, which forgets the modules that the inner one imported first.
Drivers are partly written in C and do not stand being imported twice.
"""

# ruff: noqa: F401

import aiomysql
import asyncpg
import redis.asyncio
import uvloop

"""The tables as Tortoise maps them."""

from __future__ import annotations

from tortoise import fields
from tortoise.models import Model

__all__ = ["TortoiseChild", "TortoiseRow"]


class TortoiseRow(Model):
    """Twelve columns."""

    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(255)
    email = fields.CharField(255, unique=True)
    city = fields.CharField(255)
    age = fields.BigIntField()
    visits = fields.BigIntField()
    score = fields.FloatField()
    is_active = fields.BooleanField()
    seen_at = fields.DatetimeField()
    balance = fields.DecimalField(15, 4)
    note = fields.CharField(255, null=True)
    details = fields.JSONField()

    children: fields.ReverseRelation[TortoiseChild]

    class Meta:
        """Where it is."""

        table = "bench_row"


class TortoiseChild(Model):
    """What belongs to a row."""

    id = fields.BigIntField(primary_key=True)
    row = fields.ForeignKeyField("benchmarks.TortoiseRow", related_name="children")
    label = fields.CharField(255)
    amount = fields.BigIntField()

    class Meta:
        """Where it is."""

        table = "bench_child"

"""The tables as Django maps them; imported when its settings are there."""

from __future__ import annotations

from django.db import models

__all__ = ["DjangoChild", "DjangoRow"]


class DjangoRow(models.Model):
    """Twelve columns."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=255)
    email = models.CharField(max_length=255, unique=True)
    city = models.CharField(max_length=255)
    age = models.BigIntegerField()
    visits = models.BigIntegerField()
    score = models.FloatField()
    is_active = models.BooleanField()
    seen_at = models.DateTimeField()
    balance = models.DecimalField(max_digits=15, decimal_places=4)
    note = models.CharField(max_length=255, null=True)  # noqa: DJ001  NULL is what others have
    details = models.JSONField()

    class Meta:
        """Where it is."""

        app_label = "benchmarks"
        db_table = "bench_row"
        managed = False

    def __str__(self) -> str:
        """Name it."""
        return self.name


class DjangoChild(models.Model):
    """What belongs to a row."""

    id = models.BigAutoField(primary_key=True)
    # The database looks after what refers to a row that is deleted.
    row = models.ForeignKey(DjangoRow, models.DO_NOTHING, related_name="children")
    label = models.CharField(max_length=255)
    amount = models.BigIntegerField()

    class Meta:
        """Where it is."""

        app_label = "benchmarks"
        db_table = "bench_child"
        managed = False

    def __str__(self) -> str:
        """Name it."""
        return self.label

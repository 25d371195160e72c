"""The fake keeps the same contract as what it stands for."""

from typing import Any

import pytest
from harness.conformance.repository import RepositoryContract

from shelf.models import Book
from shelf.repositories import Books, BooksInMemory


class TestBooks(RepositoryContract):
    @pytest.fixture
    def repository(self, books: Books) -> Any:
        return books

    def new_entity(self, number: int) -> Book:
        return Book(title=f"Volume {number}")


class TestBooksInMemory(TestBooks):
    @pytest.fixture
    def repository(self) -> Any:
        return BooksInMemory()

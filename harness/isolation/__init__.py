"""How tests are kept from one another: the worker's database, and the transaction of a test."""

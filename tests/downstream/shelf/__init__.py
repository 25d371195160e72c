"""A library that lends books."""

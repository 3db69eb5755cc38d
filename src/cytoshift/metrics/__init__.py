"""Numbers from the overlap table of two label images. `evaluation.evaluate` gives all of them. Each file defines one
family.

Everywhere: where truth and prediction both have no object, the answer is perfect. Where only one of them has none, it
is the worst. No number is ever NaN.
"""

"""Data set x method x seed -> a table with pictures."""

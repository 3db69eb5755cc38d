"""Tensors to a scalar. Weights of terms belong to the methods."""

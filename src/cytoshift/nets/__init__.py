"""Tensors to tensors; the number of spatial dimensions is an argument. A shipped network is built from its spec."""

"""Slow oracles, written from the formulas and independent of the library."""

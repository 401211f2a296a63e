"""Tests that every registered component of a kind has to pass."""

"""Taste comes in."""

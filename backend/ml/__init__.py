"""Answers are computed."""

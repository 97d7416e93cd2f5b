"""Marquee: movie recommendations from your own Postgres."""

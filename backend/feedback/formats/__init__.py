"""The files that ratings come in: a module for each service that writes them."""

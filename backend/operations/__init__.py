"""The service looks after itself."""

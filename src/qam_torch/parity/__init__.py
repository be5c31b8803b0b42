"""Recorded runs of the reference implementation, replayed through the library's classes."""

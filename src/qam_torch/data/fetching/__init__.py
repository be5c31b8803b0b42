"""Downloading published dataset files: `download` has the mirrors and retries, `transfer` one HTTP transfer."""

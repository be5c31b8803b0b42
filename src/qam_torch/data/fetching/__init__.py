"""Datasets fetched over the network, whole or not at all: `download` is the way in."""

"""Shared by all methods: the update, its losses, optimizer, noise, members and Lightning integration."""

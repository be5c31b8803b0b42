"""What all methods share: the one update, its losses, optimizer, noise, members and life in Lightning's loop."""

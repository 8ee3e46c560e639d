"""The one training loop, its run folder, and what it saves."""

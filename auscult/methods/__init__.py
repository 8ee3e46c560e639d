"""What is learned, and how it becomes a restoration."""

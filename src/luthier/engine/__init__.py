"""The loop, and what people who own their loop use in its place."""

"""What only `make demo` has: a handler that can be broken, and the story that is told with it."""

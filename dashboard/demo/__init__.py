"""Parts of `make demo` only: a handler that can be broken, and the scenario that uses it."""

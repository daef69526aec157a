//! When to ask what next: the pure rules of doing no harm.

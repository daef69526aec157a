//! Faults of the redis.

//! The real sources: each adapter fulfils a trait of [`crate::ports`] and explains its failures in plain sentences.

pub mod http;

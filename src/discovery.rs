//! Finds applications on this host by their own configuration, without being told anything.

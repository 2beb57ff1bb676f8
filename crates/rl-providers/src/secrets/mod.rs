//! Where the value of a secret comes from.

//! What a call needs.

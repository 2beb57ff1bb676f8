//! Requests as values.

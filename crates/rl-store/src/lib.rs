//! SQLite behind the engine's journal and the stores of stacks, leases and sites.

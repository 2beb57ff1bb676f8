//! Durable execution: operations, jobs, steps, journal, leases and limits; knows no domain.

//! Following tasks: few requests, no end missed, nothing lost when the follower goes away.

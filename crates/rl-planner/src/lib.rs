//! The thinking of RapidLaunch: parse, resolve, plan, drift and explain, all pure.

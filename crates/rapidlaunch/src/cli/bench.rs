//! `rapidlaunch bench`

pub(crate) use crate::bench::run;

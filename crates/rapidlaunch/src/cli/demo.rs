//! `rapidlaunch demo`

pub(crate) use crate::demo::run;

//! The same test with the work done by a server: commands ask it over its API instead of opening the store.

use std::cell::Cell;
use std::process::Command;

use super::{Served, World};

thread_local! {
    static THROUGH_A_SERVER: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test whose commands work through a server, where that is no matter of the store itself.
pub(crate) fn through_a_server(test: impl FnOnce()) {
    THROUGH_A_SERVER.set(true);
    // Of a test that fails nothing else runs on this thread.
    test();
    THROUGH_A_SERVER.set(false);
}

/// Whether worlds that are made now have a server.
pub(super) fn is_on() -> bool {
    THROUGH_A_SERVER.get()
}

impl World {
    /// Lets a command work through the server of this world, if it has one.
    pub(crate) fn name_server(&self, command: &mut Command) {
        if let Some(served) = self.server.borrow().as_ref() {
            served.name_to(self, command);
        }
    }
}

impl Served {
    /// Lets a command work through the server.
    pub(crate) fn name_to(&self, world: &World, command: &mut Command) {
        let authority = world.write("authority.pem", &self.authority);
        command.env("RAPIDLAUNCH_SERVER", &self.url).env("RAPIDLAUNCH_TOKEN", &self.token);
        command.env("RAPIDLAUNCH_CA", authority);
    }
}

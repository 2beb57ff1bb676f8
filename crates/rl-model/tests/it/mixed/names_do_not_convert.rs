//! A stack's name is no site's name, and a guest's name is no host name.

use rl_model::{GuestName, Hostname, SiteName, StackName};

fn site(stack: StackName) -> SiteName {
    stack.into()
}

fn hostname(guest: GuestName) -> Hostname {
    guest
}

fn main() {
    let _ = (site, hostname);
}

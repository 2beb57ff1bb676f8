//! A token's id takes no grant back, and a group is no user.

use rl_model::{GrantId, GroupName, TokenId, UserName};

fn grant(token: TokenId) -> GrantId {
    token.into()
}

fn user(group: GroupName) -> UserName {
    group
}

fn main() {
    let _ = (grant, user);
}

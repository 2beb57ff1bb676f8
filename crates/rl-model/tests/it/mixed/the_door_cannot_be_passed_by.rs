//! Nothing but the parser makes an id.

use rl_model::{MacAddr, StackName, Vmid};

fn main() {
    let _ = Vmid(7);
    let _ = StackName("Not A Name".into());
    let _ = MacAddr([1, 0, 0, 0, 0, 0]);
}

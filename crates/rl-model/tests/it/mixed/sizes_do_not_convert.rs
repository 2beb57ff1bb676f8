//! Memory is no disk, and neither is added to a number of unknown unit.

use rl_model::{DiskSize, Memory};

fn disk(memory: Memory) -> DiskSize {
    memory
}

fn more(memory: Memory) -> Memory {
    memory + 512
}

fn main() {
    let _ = (disk, more);
}

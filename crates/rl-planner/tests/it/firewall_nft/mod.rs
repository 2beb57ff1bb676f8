//! The evaluator against the kernel: generated rule sets are written as nftables rules in the layout of Proxmox's chains,
//! loaded in a network namespace, and real packets are sent through them.

mod frame;
mod generate;
mod kernel;
mod layout;
mod modern;

use rl_planner::firewall::{ConnState, Engine, Verdict, explain};

use generate::{Case, Dice};
use kernel::Kernel;

/// Rule sets of an ordinary run, a few seconds; `RAPIDLAUNCH_FIREWALL_SETS` asks for more, the full run for 2,000.
const SETS: u64 = 200;
/// Packets sent through each.
const PACKETS: usize = 24;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn the_evaluator_agrees_with_the_kernel() {
    let Some(mut kernel) = Kernel::start() else { return };
    let first = setting("RAPIDLAUNCH_FIREWALL_SEED", 1);
    let mut counts = [0_usize; 4];
    let mut wrong = Vec::new();
    for seed in first..first + setting("RAPIDLAUNCH_FIREWALL_SETS", SETS) {
        let case = Case::roll(&mut Dice::new(seed), PACKETS);
        let rules = match case.engine() {
            Engine::Iptables => layout::rules(&case),
            Engine::Nftables => modern::rules(&case),
        };
        let found = kernel.ask(&rules, &case.frames());
        for (index, packet) in case.packets.iter().enumerate() {
            let mut question = case.question(packet);
            if found.invalid(index) {
                question.packet.state = ConnState::Invalid;
            }
            let said = explain(&case.view, &question);
            let (place, does) = match said.verdict {
                Verdict::Unclear => (3, None),
                Verdict::Accept => (0, Some("accepted")),
                Verdict::Drop => (1, Some("dropped")),
                Verdict::Reject => (2, Some("rejected")),
            };
            counts[place] += 1;
            let kernel = found.end_of(index);
            if does.is_some_and(|does| does != kernel) {
                let step = said.deciding();
                wrong.push(format!(
                    "seed {seed}, packet {index} {:?}: kernel {kernel}, we {does:?} by {step:?}",
                    question.packet
                ));
            }
        }
        assert!(wrong.is_empty(), "{}\n{}\n{rules}", wrong.join("\n"), case.show());
    }
    let [accept, drop, reject, unclear] = counts;
    #[allow(clippy::print_stderr)]
    {
        eprintln!("accepted {accept}, dropped {drop}, rejected {reject}, unclear {unclear}");
    }
    // A run in which one verdict hardly occurs proves little of it.
    let all = accept + drop + reject + unclear;
    assert!(accept * 10 > all && drop * 10 > all && reject * 50 > all && unclear * 20 < all, "{counts:?}");
}

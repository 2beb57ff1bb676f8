//! Seeds: many that must pass, two runs of one that must be the same, and broken systems that must be caught.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::broken::Broken;
use crate::run::{Ended, run};

/// Seeds of one part of the test suite; `SIM_SEEDS` asks for others over all parts.
const SEEDS: u64 = 75;
/// Parts, so that the machine's cores share the work.
const PARTS: u64 = 4;
/// Seeds within which a broken system must be caught.
const CAUGHT_WITHIN: u64 = 60;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn passes(seed: u64) -> Ended {
    let ended = run(seed, Broken::Nothing);
    if let Some(violation) = &ended.violation {
        panic!(
            "seed {seed}: {violation}\nrepeat with: SIM_SEED={seed} cargo nextest run -p rl-ops --test whole one_seed"
        );
    }
    ended
}

fn part(part: u64) {
    let each = from_env("SIM_SEEDS").map_or(SEEDS, |all| all.div_ceil(PARTS));
    let (mut late, mut crashes, mut helped, mut done) = (0, 0, 0, 0);
    for seed in (0..each).map(|at| at * PARTS + part) {
        let counts = passes(seed).counts;
        late += counts.late_refused;
        crashes += counts.crashes;
        helped += counts.helped;
        done += counts.done;
    }
    let seen = format!("{late} late writes refused, {crashes} crashes, {helped} times helped, {done} jobs done");
    let enough = late > 0 && crashes > 0 && helped > 0 && done > 0;
    assert!(enough || each < SEEDS, "it tests too little: {seen}");
}

#[test]
fn simulation_part_0() {
    part(0);
}

#[test]
fn simulation_part_1() {
    part(1);
}

#[test]
fn simulation_part_2() {
    part(2);
}

#[test]
fn simulation_part_3() {
    part(3);
}

/// The seed of `SIM_SEED`, alone. `SIM_TRACE` names a file for all of its events.
#[test]
fn one_seed() {
    let seed = from_env("SIM_SEED").unwrap_or(1);
    if let Some(file) = std::env::var_os("SIM_TRACE") {
        std::fs::write(file, run(seed, Broken::Nothing).trace.join("\n")).unwrap();
    }
    passes(seed);
}

fn hash(trace: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    trace.hash(&mut hasher);
    hasher.finish()
}

/// The same seed gives the same events, each at the same time.
#[test]
fn seed_gives_the_same_run() {
    for seed in 1..6 {
        let (first, second) = (run(seed, Broken::Nothing), run(seed, Broken::Nothing));
        let differ = first.trace.iter().zip(&second.trace).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(hash(&first.trace), hash(&second.trace), "seed {seed}");
        assert_eq!(first.violation, second.violation, "seed {seed}");
    }
}

/// The first seed in which a broken system does what it must not. It may also fail in other ways before: those do not count.
fn caught(broken: Broken, does: &str) {
    let mut others = Vec::new();
    for seed in 0..CAUGHT_WITHIN {
        match run(seed, broken).violation {
            Some(violation) if violation.contains(does) => return,
            other => others.extend(other.map(|text| text.lines().next().unwrap_or_default().to_owned())),
        }
    }
    panic!("{broken:?} was not noticed in {CAUGHT_WITHIN} seeds; noticed instead: {others:#?}");
}

#[test]
fn unchecked_fence_is_caught() {
    caught(Broken::FenceNotChecked, "a late write was let through");
}

#[test]
fn skipped_intent_is_caught() {
    caught(Broken::IntentSkipped, "that no job has announced");
}

#[test]
fn answer_before_commit_is_caught() {
    caught(Broken::AnswerBeforeCommit, "was accepted with");
}

#[test]
fn creating_again_is_caught() {
    caught(Broken::CreatesAgain, "two live guests bear the stamp");
}

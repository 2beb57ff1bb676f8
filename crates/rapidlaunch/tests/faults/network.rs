//! Row 8: a server in a network of its own, cut off from the database.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use pg_lab::Options;

use crate::lab::{LEASE_MS, Lab, acks, made, until};
use crate::process::{Process, READY};
use crate::proxy::Proxy;
use crate::report::{Outcome, row, size};
use crate::worker::{Place, Settings};

/// A network namespace joined to this one by a pair of virtual cables; gone when dropped.
struct Network {
    name: String,
}

/// Ways to be cut off.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// What the server sends is lost.
    Out,
    /// What it should get is lost.
    In,
    /// Both.
    Both,
}

fn ip(args: &str) -> Result<(), String> {
    let done = Command::new("ip").args(args.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    if done.status.success() {
        Ok(())
    } else {
        Err(format!("ip {args}: {}", String::from_utf8_lossy(&done.stderr).trim()))
    }
}

impl Network {
    /// One cable for the database, 10.213.77.1 here and .2 inside, and one for the site, 10.213.78.1 and .2. The names are fixed,
    /// so that what an aborted run left is taken away by the next.
    fn new() -> Result<Self, String> {
        let network = Self { name: "rl-faults".to_owned() };
        let name = &network.name;
        let _ = ip(&format!("netns del {name}"));
        ip(&format!("netns add {name}"))?;
        ip(&format!("link add rlf0 type veth peer name rlf1 netns {name}"))?;
        ip("addr add 10.213.77.1/24 dev rlf0")?;
        ip("link set rlf0 up")?;
        ip(&format!("-n {name} addr add 10.213.77.2/24 dev rlf1"))?;
        ip(&format!("-n {name} link set rlf1 up"))?;
        ip(&format!("link add rlf2 type veth peer name rlf3 netns {name}"))?;
        ip("addr add 10.213.78.1/24 dev rlf2")?;
        ip("link set rlf2 up")?;
        ip(&format!("-n {name} addr add 10.213.78.2/24 dev rlf3"))?;
        ip(&format!("-n {name} link set rlf3 up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        Ok(network)
    }

    /// A command that runs inside.
    fn inside(&self, settings: &Settings) -> Command {
        let plain = settings.command();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command
    }

    /// Frames to the other side's address go nowhere: a wrong neighbour drops one direction, silently.
    fn cut(&self, cut: Cut) -> Result<(), String> {
        let nowhere = "lladdr 02:00:00:00:00:01 nud permanent";
        if matches!(cut, Cut::Out | Cut::Both) {
            ip(&format!("-n {} neigh replace 10.213.77.1 dev rlf1 {nowhere}", self.name))?;
        }
        if matches!(cut, Cut::In | Cut::Both) {
            ip(&format!("neigh replace 10.213.77.2 dev rlf0 {nowhere}"))?;
        }
        Ok(())
    }

    fn heal(&self) {
        let _ = ip(&format!("-n {} neigh del 10.213.77.1 dev rlf1", self.name));
        let _ = ip("neigh del 10.213.77.2 dev rlf0");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
        let _ = ip("link del rlf0");
        let _ = ip("link del rlf2");
    }
}

#[test]
fn row_08_cut_off_from_the_database() {
    let how = "a worker in a network namespace loses its database, one way and both, while the site can still be reached; a second worker stays";
    row("08", "partition server - database, one way and both", how, || {
        let open = Options { settings: vec!["listen_addresses = '*'".to_owned()], ..Options::default() };
        let prepared = Network::new().and_then(|network| Ok((network, Lab::open(&open)?)));
        let (network, mut lab) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return Outcome::Skipped(why),
        };
        let hba = lab.pg.data().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&hba).unwrap();
        std::fs::write(&hba, rules + "host all all 10.213.77.0/24 trust\n").unwrap();
        lab.pg.set("log_connections = off").unwrap();
        let site: SocketAddr =
            lab.world.sim.url().trim_start_matches("https://").trim_end_matches('/').parse().unwrap();
        let way = Proxy::at("10.213.78.1:0", site);
        let (mut seen, mut slowest) = (Vec::new(), Duration::ZERO);
        let seconds = size(vec![6], vec![5, 20, 60]);
        let inside = inside_settings(&lab, way.port());
        let outside = Settings { rate: 50, jobs: 1_000_000, hold_ms: 100, ..lab.settings("nb") };
        let mut cut_off = Process::start("worker inside", network.inside(&inside));
        cut_off.wait_line("ready", READY);
        let mut healthy = outside.start();
        for cut in [Cut::Out, Cut::In, Cut::Both] {
            for seconds in &seconds {
                std::thread::sleep(Duration::from_secs(1));
                network.cut(cut).unwrap();
                let cut_at = Instant::now();
                std::thread::sleep(Duration::from_millis(LEASE_MS));
                // It must have stopped acting by itself before anybody else may take over.
                let stopped = made(&lab.world, "na");
                let others = acks(&healthy);
                std::thread::sleep(Duration::from_secs(*seconds));
                assert!(acks(&healthy) > others, "the other server stands still");
                let after = made(&lab.world, "na");
                // The proxy is its only way to the site.
                let fenced = way.last_request_after(cut_at).unwrap_or_default();
                assert!(fenced < Duration::from_millis(LEASE_MS), "{cut:?}: it acted {fenced:?} after it was cut off");
                slowest = slowest.max(fenced);
                network.heal();
                let before = acks(&cut_off);
                let back = until("it is at work again", Duration::from_secs(60), || acks(&cut_off) > before + 3);
                seen.push(format!(
                    "{cut:?} {seconds} s: {} taken over, back after {:.1} s",
                    after - stopped,
                    back.as_secs_f64()
                ));
            }
        }
        cut_off.end(Duration::from_secs(60));
        healthy.end(Duration::from_secs(60));
        lab.settle(&[&cut_off, &healthy], "n", &outside);
        let jobs = lab.heard.marks.len();
        lab.close();
        Outcome::Pass(format!(
            "{}; last call of a cut-off server at most {:.1} s after the cut (lease {} s); {jobs} jobs acknowledged: 0 lost, 0 doubled",
            seen.join("; "),
            slowest.as_secs_f64(),
            LEASE_MS / 1_000
        ))
    });
}

/// Database and site as they are seen from inside.
fn inside_settings(lab: &Lab, site: u16) -> Settings {
    let mut settings = Settings { rate: 50, jobs: 1_000_000, hold_ms: 100, ..lab.settings("na") };
    settings.store = Place::Url(lab.url_at("10.213.77.1", lab.pg.port()));
    settings.site = format!("https://10.213.78.1:{site}");
    settings
}

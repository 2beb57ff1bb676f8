//! Runs a simulated site until it is interrupted: `cargo run -p pve-sim --example sim -- [NODES] [TIME_SCALE] [STATE_FILE] [PORT]`.
#![allow(clippy::print_stdout)]

use pve_sim::{SeedState, Sim, SimConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let nodes = args.next().map_or(Ok(3), |n| n.parse())?;
    let mut config = SimConfig::new(nodes);
    config.time_scale = args.next().map_or(Ok(1.0), |s| s.parse())?;
    if let Some(file) = args.next().filter(|f| f != "-") {
        config.seed_state = Some(SeedState::from_json(&std::fs::read_to_string(file)?)?);
    }
    if let Some(port) = args.next() {
        config.listen.set_port(port.parse()?);
    }
    let sim = Sim::start(config).await?;
    println!("{}", sim.ready_line());
    if std::env::var_os("SIM_CA_FILE").is_some() {
        std::fs::write(std::env::var("SIM_CA_FILE")?, sim.ca_pem())?;
    }
    sim.wait().await;
    Ok(())
}

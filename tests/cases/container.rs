//! A container that Docker publishes is reached over every uplink.

use anyhow::Result;
use prroute_tests::docker::{self, Docker, Engine, Iptables};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::probe::{self, Question};

#[test]
fn x() -> Result<()> {
    let lab = Lab::build(Topology { ..Topology::default() })?;
    let t = std::time::Instant::now();
    let engine = Engine { iptables: Iptables::Nft, userland_proxy: true };
    let docker = Docker::start(&lab.host, &lab.scratch, lab.name(), engine, false)?;
    eprintln!("started {:?}", t.elapsed());
    docker.publish_servers(&lab.host, &lab.scratch)?;
    eprintln!("published {:?}", t.elapsed());
    let questions = [Question::Tcp(docker::TCP_PORT), Question::Udp(docker::UDP_PORT)];
    let mut probes = probe::to_own_addresses(3, &questions);
    probes.extend(probe::to_shared_address(3, &questions));
    for o in lab.ask(&probes)? {
        eprintln!("{o}");
    }
    eprintln!("asked {:?}", t.elapsed());
    drop(docker);
    eprintln!("stopped {:?}", t.elapsed());
    Ok(())
}

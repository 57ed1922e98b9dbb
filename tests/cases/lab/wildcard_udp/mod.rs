//! UDP servers that are bound to no address answer from the address they were asked on.

mod left_alone;
mod links;
mod programs;
mod talk;

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::process::Process;
use prroute_tests::prroute::{self, CAPABILITIES};
use prroute_tests::wait;

use talk::{Client, Question, expect_answered, questions, serve, wildcard};

const UPLINKS: u8 = Topology::DEFAULT.uplinks;

/// Without a reverse path filter, so that without prroute questions reach the servers as well.
fn lab() -> Result<Lab> {
    Lab::build(Topology { rp_filter: 0, ..Topology::DEFAULT })
}

/// Without help the kernel answers from the address of the default route's uplink.
fn kernels_choice(question: &Question) -> bool {
    question.target == addressing::host(1, Family::of(question.target))
}

/// Own and shared addresses over each uplink: first the kernel's choice alone is answered, then
/// everything; also after the daemon was killed, and after another one took over.
fn answers_everywhere(server: Family, clients: &[Family]) -> Result<()> {
    in_both_modes(|own_source| {
        let lab = lab()?;
        let _server = serve(&lab.host, &lab.scratch, "naive", wildcard(server), &[])?;
        let questions = questions(UPLINKS, clients);
        let client = &lab.client;
        lab.meet_default_gateway()?;
        expect_answered(client, &questions, kernels_choice).context("without prroute")?;

        let before = lab.snapshot()?;
        let prroute = lab.prroute()?.own_source(own_source)?;
        let daemon = prroute.run(&[])?;
        expect_answered(client, &questions, |_| true).context("with prroute")?;
        let status = prroute.status()?;
        assert_eq!(status["udp_source"]["state"], "attached", "{status}");
        let set = status["udp_source"]["counters"]["source_set"].as_u64();
        assert!(set >= Some(questions.len() as u64), "{status}");

        let first = links::pinned(lab.name())?;
        assert_eq!(first.len(), 4, "{first:?}");
        daemon.kill()?;
        expect_answered(client, &questions, |_| true).context("after kill -9")?;
        let daemon = prroute.run(&[])?;
        expect_answered(client, &questions, |_| true).context("after a restart")?;
        let second = links::pinned(lab.name())?;
        assert_eq!(second.len(), 4, "{second:?}");
        links::wait_gone(&first)?;

        daemon.terminate()?;
        prroute.down()?;
        links::wait_gone(&second)?;
        lab.expect_unchanged_since(&before)?;
        expect_answered(client, &questions, kernels_choice).context("after down")
    })
}

#[test]
fn ipv4_servers() -> Result<()> {
    answers_everywhere(Family::V4, &[Family::V4])
}

/// One socket for both families, as `bind(::)` gives by default: IPv4 clients are mapped.
#[test]
fn dual_stack_servers() -> Result<()> {
    answers_everywhere(Family::V6, &Family::BOTH)
}

/// The kernel knows a conversation by its peer only: a client that asks one address after the
/// other from one port is answered by each.
#[test]
fn one_client_port_asks_every_address() -> Result<()> {
    let lab = lab()?;
    let _server = serve(&lab.host, &lab.scratch, "naive", wildcard(Family::V6), &[])?;
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            let client = Client::open(&lab.client, addressing::stateless_client(family), 0)?;
            for number in [1, 2, 3, 1, 1, 1, 2, 2, 3, 1, 3] {
                let target = addressing::host(number, family);
                assert_eq!(client.ask(target)?, Some(target));
            }
        }
        Ok(())
    })
}

/// What was asked is forgotten with its address: the server goes on, from another one.
fn an_address_that_went_is_no_source(family: Family) -> Result<()> {
    let lab = lab()?;
    let _server = serve(&lab.host, &lab.scratch, "again", wildcard(family), &[])?;
    lab.with_prroute(|prroute| {
        let source = addressing::stateless_client(family);
        let (gone, left) = (addressing::host(2, family), addressing::host(1, family));
        let first = Client::open(&lab.client, source, 0)?;
        let other = Client::open(&lab.client, source, 0)?;
        assert_eq!(first.ask(gone)?, Some(gone));
        other.send(left, "again")?;
        assert_eq!(first.hear()?, Some(gone));
        let length = addressing::prefix_length(family);
        lab.host.ip(&format!("address del {gone}/{length} dev up2"))?;
        wait::until("another source", Duration::from_secs(20), || {
            other.send(left, "again")?;
            // While prroute has not seen it yet, the kernel refuses the source.
            Ok((first.hear()? == Some(left)).then_some(()))
        })?;
        let status = prroute.status()?;
        assert_eq!(status["udp_source"]["counters"]["address_gone"], 1, "{status}");
        Ok(())
    })
}

#[test]
fn an_ipv4_address_that_went_is_no_source() -> Result<()> {
    an_address_that_went_is_no_source(Family::V4)
}

#[test]
fn an_ipv6_address_that_went_is_no_source() -> Result<()> {
    an_address_that_went_is_no_source(Family::V6)
}

/// Control groups of version 2 are missing: that is told, and everything else works.
#[test]
fn without_control_groups_there_is_a_message() -> Result<()> {
    const WITHOUT: &str = "grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5 \
        | xargs -r -n1 umount -l && exec \"$@\"";
    let lab = lab()?;
    let prroute = lab.prroute()?;
    let wrapper = ["unshare", "--mount", "sh", "-c", WITHOUT, "sh"];
    let wrapper = [&wrapper[..], &CAPABILITIES].concat();
    let mut daemon = Process::spawn(&mut prroute.command_with(&wrapper, &["run"])?)?;
    let log = daemon.wait_log("the daemon is ready", prroute::START, |log| {
        log.contains("ready, managing 3 uplinks").then(|| log.to_owned())
    })?;
    assert!(log.contains("wildcard UDP servers") && log.contains("cgroup v2"), "{log}");
    let status = prroute.status()?;
    assert_eq!(status["udp_source"]["state"], "unavailable", "{status}");
    assert_eq!(links::pinned(lab.name())?, [0; 0]);
    let _server = serve(&lab.host, &lab.scratch, "naive", wildcard(Family::V6), &[])?;
    let questions = questions(UPLINKS, &Family::BOTH);
    expect_answered(&lab.client, &questions, kernels_choice)?;
    daemon.stop(Signal::SIGTERM, prroute::STOP)?;
    prroute.down()?;
    Ok(())
}

/// A socket that has a port cannot get an address any more (`bpf_bind` fails with EINVAL): such
/// a server answers from the kernel's choice, and that is counted.
#[test]
fn servers_that_connect_back_are_counted() -> Result<()> {
    let lab = lab()?;
    let _server = serve(&lab.host, &lab.scratch, "connect", wildcard(Family::V6), &[])?;
    lab.with_prroute(|prroute| {
        for (family, count) in Family::BOTH.into_iter().zip([2, 4]) {
            for number in [1, 2] {
                let client = Client::open(&lab.client, addressing::client(number, family), 0)?;
                let target = addressing::host(number, family);
                assert_eq!(client.ask(target)?, (number == 1).then_some(target));
            }
            let status = prroute.status()?;
            assert_eq!(status["udp_source"]["counters"]["connected_back"], count, "{status}");
        }
        Ok(())
    })
}

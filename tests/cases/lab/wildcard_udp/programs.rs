//! Servers as distributions have them: memcached, which answers from the socket that was asked
//! and cares for no address, and a TFTP server, which answers from a new port.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::lab::Lab;
use prroute_tests::netns::Namespace;
use prroute_tests::process::Process;
use prroute_tests::wait;

use super::talk::{Client, PORT, Question, questions};
use super::{UPLINKS, kernels_choice, lab};

const START: Duration = Duration::from_secs(20);
const TFTP: u16 = 7069;
const FILE: &str = "configuration";

fn spawn(namespace: &Namespace, argv: &[&str], port: u16) -> Result<Process> {
    let mut server = namespace.spawn(argv)?;
    wait::until("the server listens", START, || {
        server.check_running()?;
        let filter = format!(":{port}");
        let sockets = namespace.run(&["ss", "-H", "-uln", "sport", "=", &filter])?;
        Ok((!sockets.trim().is_empty()).then_some(()))
    })?;
    Ok(server)
}

/// Asks memcached's version: the frame header says request 1, the only datagram of one.
fn is_answered(client: &Namespace, question: &Question) -> Result<bool> {
    let socket = Client::open(client, question.source, 0)?;
    socket.send(question.target, "\0\x01\0\0\0\x01\0\0version\r\n")?;
    Ok(socket.hear()? == Some(question.target))
}

#[test]
fn memcached_answers_from_the_address_that_was_asked() -> Result<()> {
    let lab = lab()?;
    let port = PORT.to_string();
    let memcached =
        ["memcached", "-u", "root", "-t", "1", "-p", "0", "-U", &port, "-l", "0.0.0.0,[::]"];
    let _server = spawn(&lab.host, &memcached, PORT)?;
    let questions = questions(UPLINKS, &Family::BOTH);
    lab.meet_default_gateway()?;
    for question in &questions {
        let answered = is_answered(&lab.client, question)?;
        ensure!(answered == kernels_choice(question), "without prroute: {question:?}");
    }
    lab.with_prroute(|_| {
        for question in &questions {
            ensure!(is_answered(&lab.client, question)?, "no answer: {question:?}");
        }
        Ok(())
    })
}

/// Fetches a file from an uplink's own address. The client is one for whom no router keeps
/// state, which would have to know TFTP.
fn fetch(lab: &Lab, number: u8, family: Family) -> Result<Option<String>> {
    let source = addressing::stateless_client(family).to_string();
    let target = std::net::SocketAddr::new(addressing::host(number, family), TFTP);
    let url = format!("tftp://{target}/{FILE}");
    let curl = ["curl", "-sf", "--noproxy", "*", "-m", "5", "--interface", &source, &url];
    let output = lab.client.output(&curl)?;
    Ok(output.status.success().then_some(output.stdout))
}

#[test]
fn tftp_transfers_go_over_every_uplink() -> Result<()> {
    let lab = lab()?;
    let content = "a line of the file\n".repeat(500);
    let file = lab.scratch.write(&format!("tftp/{FILE}"), &content)?;
    let folder = file.parent().context("a file without a folder")?.display().to_string();
    let address = format!(":{TFTP}");
    let tftpd =
        ["in.tftpd", "--foreground", "--user", "root", "--address", &address, "--secure", &folder];
    let _server = spawn(&lab.host, &tftpd, TFTP)?;
    lab.meet_default_gateway()?;
    for number in 1..=2 {
        let fetched = fetch(&lab, number, Family::V4)?;
        ensure!(fetched.is_some() == (number == 1), "without prroute: {number}");
    }
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            for number in 1..=UPLINKS {
                let fetched = fetch(&lab, number, family)?;
                ensure!(
                    fetched.as_ref() == Some(&content),
                    "{family}, uplink {number}: {fetched:?}"
                );
            }
        }
        Ok(())
    })
}

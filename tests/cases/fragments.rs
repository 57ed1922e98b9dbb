//! Datagrams and echo requests that do not fit into a packet are answered over the uplink they
//! came in on: requests and answers travel as fragments.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::socket;

const PORT: u16 = 7;
const SIZES: [usize; 2] = [4_000, 8_000];

/// One question: a datagram, or an echo request, of so many bytes.
#[derive(Clone, Copy, Debug)]
struct Large {
    uplink: u8,
    target: IpAddr,
    size: usize,
    ping: bool,
}

impl Large {
    fn is_answered(&self, lab: &Lab) -> Result<bool> {
        let family = Family::of(self.target);
        let source = addressing::client(self.uplink, family);
        if self.ping {
            let (size, from, to) =
                (self.size.to_string(), source.to_string(), self.target.to_string());
            let ping = ["ping", family.option(), "-n", "-q", "-c", "1", "-W", "2", "-s", &size];
            let output = lab.client.output(&[&ping[..], &["-I", &from, &to]].concat())?;
            return Ok(output.status.success());
        }
        let socket = socket::udp(&lab.client, source, 0)?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
        echo::udp_round(&socket, SocketAddr::new(self.target, PORT), self.size)
    }
}

/// 36 questions: three uplinks, two families, own and shared address, two datagrams and a ping.
fn questions() -> Vec<Large> {
    let mut questions = Vec::new();
    for uplink in 1..=3 {
        for family in Family::BOTH {
            for target in [addressing::host(uplink, family), addressing::shared(family)] {
                let question = |size, ping| Large { uplink, target, size, ping };
                questions.extend(SIZES.map(|size| question(size, false)));
                questions.push(question(4_000, true));
            }
        }
    }
    questions
}

/// Which questions are not answered; all are asked at once.
fn silent(lab: &Lab) -> Result<Vec<Large>> {
    let questions = questions();
    let answers: Vec<Result<bool>> = std::thread::scope(|scope| {
        let threads: Vec<_> = questions
            .iter()
            .map(|question| scope.spawn(move || question.is_answered(lab)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a question panicked")).collect()
    });
    let mut silent = Vec::new();
    for (question, answer) in questions.into_iter().zip(answers) {
        if !answer.with_context(|| format!("{question:?}"))? {
            silent.push(question);
        }
    }
    Ok(silent)
}

fn all_are_answered(topology: Topology) -> Result<()> {
    let lab = Lab::build(topology)?;
    let echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
    lab.meet_default_gateway()?;
    let unanswered = silent(&lab)?;
    assert_eq!(unanswered.len(), 24, "without prroute only uplink 1 answers: {unanswered:#?}");
    assert!(unanswered.iter().all(|question| question.uplink != 1), "{unanswered:#?}");

    let prroute = lab.prroute()?;
    let daemon = prroute.run(&[])?;
    for round in 1..=2 {
        let unanswered = silent(&lab)?;
        assert!(unanswered.is_empty(), "round {round}, not answered: {unanswered:#?}");
    }
    assert_eq!(prroute.count("fragment_overtook")?, 0);
    assert_eq!(prroute.count("too_big")?, 0);
    assert!(prroute.count("redirected")? >= 2 * 12 * 3, "later fragments are moved too");
    daemon.terminate()?;
    prroute.down()?;
    drop(echo);
    Ok(())
}

#[test]
fn three_uplinks_answer_72_of_72() -> Result<()> {
    all_are_answered(Topology::DEFAULT)
}

#[test]
fn three_uplinks_with_strict_rp_filter_answer_72_of_72() -> Result<()> {
    all_are_answered(Topology { rp_filter: 1, routers_know_host: false, ..Topology::DEFAULT })
}

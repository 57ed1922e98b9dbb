//! Datagrams and echo requests that do not fit into a packet are answered over the uplink they
//! came in on: requests and answers travel as fragments.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use prroute_tests::addressing::{self, Family};
use prroute_tests::capture::Capture;
use prroute_tests::echo::{self, Echo};
use prroute_tests::frame::Way;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::{OwnSource, in_both_modes};
use prroute_tests::raw::Raw;
use prroute_tests::socket;
use prroute_tests::wait;

const PORT: u16 = 7;
const SIZES: [usize; 2] = [4_000, 8_000];

/// Time without an answer after which there is none.
const ANSWER: Duration = Duration::from_secs(2);

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
            let (from, to) = (source.to_string(), self.target.to_string());
            let (size, patience) = (self.size.to_string(), wait::whole_seconds(ANSWER).to_string());
            let ping = ["ping", family.option(), "-n", "-q", "-c", "1", "-W", &patience];
            let ping = [&ping[..], &["-s", &size, "-I", &from, &to]].concat();
            let output = lab.client.output(&ping)?;
            return Ok(output.status.success());
        }
        let socket = socket::udp(&lab.client, source, 0)?;
        socket.set_read_timeout(Some(wait::patience(ANSWER)))?;
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
    in_both_modes(|own_source| {
        let lab = Lab::build(topology)?;
        let _echo = Echo::start(&lab.host, &lab.host_addresses(), PORT)?;
        lab.meet_default_gateway()?;
        let unanswered = silent(&lab)?;
        assert_eq!(unanswered.len(), 24, "without prroute only uplink 1 answers: {unanswered:#?}");
        assert!(unanswered.iter().all(|question| question.uplink != 1), "{unanswered:#?}");

        lab.with_own_source(own_source, |prroute| {
            for round in 1..=2 {
                let unanswered = silent(&lab)?;
                assert!(unanswered.is_empty(), "round {round}, not answered: {unanswered:#?}");
            }
            assert_eq!(prroute.count("fragment_overtook")?, 0);
            assert_eq!(prroute.count("too_big")?, 0);
            assert!(prroute.count("redirected")? >= 2 * 12 * 3, "later fragments are moved too");
            Ok(())
        })
    })
}

#[test]
fn three_uplinks_answer_72_of_72() -> Result<()> {
    all_are_answered(Topology::DEFAULT)
}

#[test]
fn three_uplinks_with_strict_rp_filter_answer_72_of_72() -> Result<()> {
    all_are_answered(Topology { rp_filter: 1, routers_know_host: false, ..Topology::DEFAULT })
}

/// A datagram of the host in two fragments, each sent when and where the test says.
struct TwoFragments {
    client: UdpSocket,
    host: Raw,
    pair: [Vec<u8>; 2],
    payload: Vec<u8>,
}

impl TwoFragments {
    /// A client of uplink 2 asks `target`, whose answer waits to be sent.
    /// `number` tells it from others between the two.
    fn prepare(lab: &Lab, target: IpAddr, number: u16) -> Result<Self> {
        const ETHERNET: usize = 14;
        let source = addressing::client(2, Family::of(target));
        let client = socket::udp(&lab.client, source, 0)?;
        let server = socket::udp(&lab.host, target, PORT)?;
        client.send_to(b"question", (target, PORT))?;
        let (_, asker) = socket::uninterrupted(|| server.recv_from(&mut [0; 16]))
            .context("the question did not arrive")?;
        let way = Way { source_mac: [2; 6], target_mac: [2; 6], source: target, target: source };
        let payload: Vec<u8> = (0..1_200).map(|i| (i % 251) as u8).collect();
        let frame = way.udp((PORT, asker.port()), &payload)?;
        let mut pair = way.fragments(&frame, 640)?.map(|frame| frame[ETHERNET..].to_vec());
        for packet in &mut pair {
            // The kernel computes the checksum of an IPv4 header anew.
            let at = if target.is_ipv4() { 4 } else { 40 + 6 };
            packet[at..at + 2].copy_from_slice(&number.to_be_bytes());
        }
        let host = Raw::with_headers(&lab.host, target)?;
        Ok(Self { client, host, pair, payload })
    }

    fn filter(&self) -> Result<String> {
        Ok(format!("dst host {}", self.client.local_addr()?.ip()))
    }

    /// From now on the host's part leaves by this interface alone.
    fn bind_to(&self, device: &str) -> Result<()> {
        self.host.bind_to(device)
    }

    fn send(&self, which: usize) -> Result<()> {
        let receiver = self.client.local_addr()?.ip();
        self.host.send(receiver, &self.pair[which])
    }

    /// Likewise, from this CPU: the program for what leaves runs where the sender does.
    fn send_on(&self, cpu: usize, which: usize) -> Result<()> {
        let sending = || -> Result<()> {
            let mut cpus = CpuSet::new();
            cpus.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &cpus).with_context(|| format!("use CPU {cpu}"))?;
            self.send(which)
        };
        std::thread::scope(|scope| scope.spawn(sending).join()).expect("the sender panicked")
    }

    fn arrives(&self, within: Duration) -> Result<bool> {
        self.client.set_read_timeout(Some(within))?;
        let mut heard = vec![0; self.payload.len() + 1];
        match socket::uninterrupted(|| self.client.recv_from(&mut heard)) {
            Ok((length, _)) => Ok(heard[..length] == self.payload),
            Err(error) if echo::is_timeout(&error) => Ok(false),
            Err(error) => Err(error).context("hear from the host"),
        }
    }
}

#[test]
fn a_fragment_that_overtakes_its_first_is_decided_by_its_address_alone() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
        lab.with_own_source(own_source, |prroute| {
            // With rules the first of the two leaves right.
            let counts = if own_source == OwnSource::Rules { [1, 2] } else { [2, 4] };
            for (family, counted) in Family::BOTH.into_iter().zip(counts) {
                let own = TwoFragments::prepare(&lab, addressing::host(2, family), 1)?;
                own.send(1)?;
                own.send(0)?;
                assert!(own.arrives(socket::ANSWER)?, "{family}: its address is uplink 2's");
                let shared = TwoFragments::prepare(&lab, addressing::shared(family), 2)?;
                let astray =
                    Capture::start(&lab.router(1).namespace, "host", "in", &shared.filter()?)?;
                shared.send(1)?;
                shared.send(0)?;
                assert!(
                    astray.wait_for(1, socket::ANSWER)?,
                    "{family}: its address is everybody's"
                );
                // Its missing part goes the way that is known by now, for two seconds.
                shared.send(1)?;
                assert!(shared.arrives(socket::ANSWER)?, "{family}: both parts are there");
                assert_eq!(astray.stop()?.len(), 1, "{family}: the first fragment is moved");
                assert_eq!(prroute.count("fragment_overtook")?, counted, "{family}");
            }
            Ok(())
        })
    })
}

#[test]
fn a_fragment_that_overtakes_its_first_leaves_by_the_interface_its_socket_is_bound_to() -> Result<()>
{
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
        lab.with_own_source(own_source, |_| {
            for family in Family::BOTH {
                let bound = TwoFragments::prepare(&lab, addressing::host(2, family), 1)?;
                bound.bind_to("up1")?;
                let router = &lab.router(1).namespace;
                let heard = Capture::start(router, "host", "in", &bound.filter()?)?;
                bound.send(1)?;
                ensure!(heard.wait_for(1, socket::ANSWER)?, "{family}: it leaves elsewhere");
                heard.stop()?;
            }
            Ok(())
        })
    })
}

#[test]
fn a_fragment_follows_its_first_from_another_cpu() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, ..Topology::DEFAULT })?;
    lab.with_prroute(|prroute| {
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("ask for this process's CPUs")?;
        let cpus: Vec<usize> =
            (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
        ensure!(cpus.len() > 1, "one CPU shows nothing: {cpus:?}");
        for family in Family::BOTH {
            for (number, first, later) in [(1, cpus[0], cpus[1]), (2, cpus[1], cpus[0])] {
                let target = addressing::shared(family);
                let shared = TwoFragments::prepare(&lab, target, number)?;
                shared.send_on(first, 0)?;
                shared.send_on(later, 1)?;
                assert!(shared.arrives(socket::ANSWER)?, "{family}: CPU {first}, then {later}");
            }
        }
        assert_eq!(prroute.count("fragment_overtook")?, 0);
        assert_eq!(prroute.count("redirected")?, 8, "two fragments, two families, two orders");
        Ok(())
    })
}

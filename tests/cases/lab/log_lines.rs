//! What the daemon's log says, and how much: one line per event, and a bounded number of them however
//! often an uplink flaps.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command::output_within;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::prroute::Daemon;
use prroute_tests::{mounts, wait};

const PATIENCE: Duration = Duration::from_secs(600);

/// Longer than the daemon takes for an event.
const SOON: Duration = Duration::from_secs(5);

/// Flaps at each end; `PRROUTE_FLAPS` asks for more.
fn flaps() -> u32 {
    std::env::var("PRROUTE_FLAPS").ok().and_then(|flaps| flaps.parse().ok()).unwrap_or(30)
}

/// The third uplink is set down and up again, and gets its routes and addresses back, as a network
/// manager sees to it.
const AT_HOST: &str = "\
ip link set up3 down
sleep $pause
ip link set up3 up
ip -6 addr replace 2001:db8:3::10/64 dev up3 nodad
ip route replace default via 10.0.3.1 dev up3 metric 300
ip -6 route replace default via 2001:db8:3::1 dev up3 metric 300
sleep $pause
";

/// Its carrier goes and comes.
const AT_ROUTER: &str = "ip link set host down; sleep $pause; ip link set host up; sleep $pause\n";

/// Flaps at different paces. Meanwhile somebody reads what the daemon says to the service manager: it
/// waits for that.
fn flap(daemon: &mut Daemon, namespace: &Namespace, flap: &str) -> Result<()> {
    let paces = "for pause in 0.02 0.1 0.25";
    let script = format!("for i in $(seq {}); do {paces}; do\n{flap}done; done", flaps() / 3);
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut sh = namespace.command(&["sh", "-ec", &script]);
            output_within(&mut sh, PATIENCE, "")?.success().map(drop)
        });
        while !work.is_finished() {
            daemon.said()?;
            std::thread::sleep(wait::POLL);
        }
        work.join().unwrap_or_else(|_| anyhow::bail!("panicked"))
    })
}

#[test]
fn a_start_says_a_handful_of_lines_and_any_number_of_flaps_a_few_more() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let (mut start, mut took) = (String::new(), Duration::ZERO);
    let log = lab.prroute()?.while_running(|prroute| {
        start = prroute.log();
        println!("{} lines at start:\n{start}", start.lines().count());
        // The sizes of the tables, three uplinks, what was done, and that it is ready.
        ensure!(start.lines().count() <= 6, "{start}");
        let begun = Instant::now();
        for (namespace, how) in [(&lab.host, AT_HOST), (&lab.router(3).namespace, AT_ROUTER)] {
            flap(&mut prroute.daemon, namespace, how)?;
            println!("{} lines after {} flaps", prroute.log().lines().count(), flaps());
        }
        took = begun.elapsed();
        Ok(())
    })?;
    let severe = |line: &&str| {
        (line.contains("WARN") && !line.contains(": no carrier")) || line.contains("ERROR")
    };
    let severe: Vec<&str> = log.lines().filter(severe).collect();
    ensure!(severe.is_empty(), "nothing was wrong but for the link: {severe:#?}\n{log}");
    // Six events as they come, two lines for each minute, and the end.
    let minutes = 1 + took.as_secs() / 60;
    let bound = start.lines().count() + 8 + 2 * usize::try_from(minutes)?;
    ensure!(log.lines().count() <= bound, "more than {bound} lines in {took:.0?}:\n{log}");
    Ok(())
}

#[test]
fn a_cable_that_is_pulled_out_is_one_line_and_nobody_is_blamed() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let mut start = 0;
    let log = lab.prroute()?.while_running(|prroute| {
        start = prroute.log().lines().count();
        for (command, line) in [
            ("link set host down", "WARN up3: no carrier, its replies follow the routing tables"),
            ("link set host up", "INFO up3: up again after "),
        ] {
            lab.router(3).namespace.ip(command)?;
            prroute.daemon.process.wait_log(line, SOON, |log| log.contains(line).then_some(()))?;
        }
        Ok(())
    })?;
    let new: Vec<&str> = log.lines().skip(start).collect();
    let severe = new.iter().filter(|line| !line.contains("INFO")).count();
    ensure!(severe == 1, "{new:#?}");
    // Each event, rules and routes that follow it, and the end.
    ensure!(new.len() <= 5, "{new:#?}");
    Ok(())
}

#[test]
fn a_sysctl_that_another_program_sets_back_is_one_warning() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })?;
    let set_back = "up2: rp_filter was set to 1 again";
    let log = lab.prroute()?.while_running(|prroute| {
        let said = |value: u8, line: &str| {
            lab.host.sysctl(&[&format!("net.ipv4.conf.up2.rp_filter={value}")])?;
            wait::until(line, 4 * SOON, || Ok(prroute.log().contains(line).then_some(())))
        };
        said(1, set_back)?;
        said(2, "up2: rp_filter is not strict any more")
    })?;
    ensure!(log.matches(set_back).count() == 1, "{log}");
    Ok(())
}

/// As systemd connects a service: `JOURNAL_STREAM` names standard error. `run` is what it finds for
/// /run/systemd, where the journal has its socket.
fn to_the_journal(run: &Path) -> Result<Vec<String>> {
    let journal = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";
    let words = ["env", "PRROUTE_LOG=prroute=debug", "sh", "-c", journal, "sh"];
    let mut wrapper = mounts::wrapper(&[(run, "/run/systemd")])?;
    wrapper.extend(words.map(str::to_owned));
    Ok(wrapper)
}

/// The journal's socket, and what came to it. A message is one datagram: a line for each field. It is
/// read all the time, as the journal does: who writes waits for that.
struct Journal {
    socket: PathBuf,
    messages: Arc<Mutex<Vec<Vec<u8>>>>,
    reader: JoinHandle<()>,
}

const END: &[u8] = b"end";

/// Whether a message has `NAME=value`: as such, or as name, length and value on two lines.
fn has(message: &[u8], field: &str) -> bool {
    let (name, value) = field.split_once('=').unwrap_or((field, ""));
    let length = u64::try_from(value.len()).unwrap_or_default().to_le_bytes();
    let long = [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"].concat();
    let short = format!("{field}\n").into_bytes();
    [long, short].iter().any(|it| message.windows(it.len()).any(|part| part == it))
}

impl Journal {
    fn open(run: &Path) -> Result<Self> {
        let directory = run.join("journal");
        std::fs::create_dir_all(&directory).context("make a place for the journal")?;
        let path = directory.join("socket");
        let socket = UnixDatagram::bind(&path).context("bind the journal's socket")?;
        let messages = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let came = Arc::clone(&messages);
        let reader = std::thread::spawn(move || {
            let mut message = [0; 65_536];
            while let Ok(length) = socket.recv(&mut message) {
                if message[..length] == *END {
                    return;
                }
                let message = message[..length].to_vec();
                came.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            }
        });
        Ok(Self { socket: path, messages, reader })
    }

    fn wait_for(&self, wanted: &[&str]) -> Result<()> {
        wait::until(&format!("{wanted:?} in the journal"), SOON, || {
            let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            let is_it = |message: &Vec<u8>| wanted.iter().all(|field| has(message, field));
            Ok(messages.iter().any(is_it).then_some(()))
        })
    }

    fn close(self) -> Result<()> {
        UnixDatagram::unbound()?.send_to(END, &self.socket).context("end the reader")?;
        self.reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))
    }
}

#[test]
fn the_journal_gets_fields_beside_the_text() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let run = lab.scratch.path().join("systemd");
    let journal = Journal::open(&run)?;
    let log = lab.prroute()?.wrapped(to_the_journal(&run)?).while_running(|_| {
        lab.router(3).namespace.ip("link set host down")?;
        journal.wait_for(&["PRIORITY=4", "PRROUTE_EVENT=uplink-down", "PRROUTE_UPLINK=up3"])?;
        lab.router(3).namespace.ip("link set host up")?;
        journal.wait_for(&["PRIORITY=6", "PRROUTE_EVENT=uplink-up", "PRROUTE_UPLINK=up3"])?;
        lab.host.ip("rule flush protocol 213")?;
        journal.wait_for(&["PRIORITY=4", "PRROUTE_EVENT=put-back"])
    })?;
    // Nothing twice.
    ensure!(log.is_empty(), "{log}");
    journal.close()
}

#[test]
fn lines_to_a_journal_without_a_socket_have_their_priority() -> Result<()> {
    let lab = Lab::with_services(Topology::DEFAULT)?;
    let wrapper = to_the_journal(&lab.scratch.path().join("no-systemd"))?;
    let log = lab.prroute()?.wrapped(wrapper).while_running(|prroute| {
        let refused = prroute.output(&["run"])?;
        let error = refused.stderr.lines().last().context("a refusal")?;
        ensure!(error.starts_with("<3>prroute: "), "{error}");
        lab.host.ip("rule flush protocol 213")?;
        let warned = |log: &str| log.contains("that were deleted").then_some(());
        prroute.daemon.process.wait_log("a warning", SOON, warned)
    })?;
    let known = |line: &str| ["<4>", "<6>", "<7>"].iter().any(|p| line.starts_with(p));
    let strange: Vec<&str> = log.lines().filter(|line| !known(line)).collect();
    ensure!(strange.is_empty(), "{strange:#?}");
    for part in ["<6>ready, managing 3 uplinks", "<7>ip rule add priority", "<4>putting back "] {
        ensure!(log.contains(part), "no {part:?} in\n{log}");
    }
    Ok(())
}

//! The three commands of the page of symptoms, which need no prroute, print what the page shows.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::netns::Namespace;

use super::expected::agrees;
use super::reader::text;
use super::site::Site;
use crate::blocks::blocks;

const PAGE: &str = "../symptoms.md";
const PROMPT: &str = "host# ";
const DEADLINE: Duration = Duration::from_secs(60);

/// A command that the page shows, and what it prints there.
#[derive(Debug)]
struct Look {
    command: String,
    promised: String,
}

/// The command that begins with `program`.
fn look(program: &str) -> Result<Look> {
    let page = text(PAGE)?;
    let found = blocks(&page).into_iter().find_map(|block| {
        let (command, promised) = block.text.strip_prefix(PROMPT)?.split_once('\n')?;
        let is_it = command.starts_with(program);
        is_it.then(|| Look { command: command.to_owned(), promised: promised.to_owned() })
    });
    found.with_context(|| format!("{PAGE} has no block with {program}"))
}

impl Look {
    fn compare(&self, printed: &str) -> Result<()> {
        let Self { command, promised } = self;
        ensure!(agrees(promised, printed), "{command}\npromised:\n{promised}\nprinted:\n{printed}");
        Ok(())
    }

    fn words(&self) -> Vec<&str> {
        self.command.split_whitespace().collect()
    }
}

/// The client's, with the identifier that the page shows. It is not answered.
fn ping(client: &Namespace, count: &str) -> Result<()> {
    let ping = ["ping", "-q", "-e", "15236", "-i", "0.2", "-W", "1", "-c", count, "10.0.2.2"];
    let output = client.output(&ping)?;
    ensure!(!output.status.success(), "answered: {}", output.stdout);
    Ok(())
}

#[test]
fn the_route_of_the_reply_leads_over_the_other_interface() -> Result<()> {
    let site = Site::build()?;
    let look = look("ip route get")?;
    look.compare(&site.host.run(&look.words())?)
}

#[test]
fn the_answer_is_seen_on_the_other_interface() -> Result<()> {
    let site = Site::build()?;
    site.host.sysctl(&["net.ipv4.conf.eth1.rp_filter=2"])?;
    let look = look("tcpdump")?;
    let mut tcpdump = site.host.spawn(&look.words())?;
    tcpdump.wait_log("it listens", DEADLINE, |log| log.contains("listening on").then_some(()))?;
    ping(&site.client, "1")?;
    tcpdump.wait_end(DEADLINE)?;
    let log = tcpdump.finished_log(DEADLINE)?;
    // What it says of itself is on its standard error.
    let packets = log.lines().filter(|line| line.contains(" IP "));
    look.compare(&packets.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_kernel_counts_what_a_strict_filter_drops() -> Result<()> {
    let site = Site::build()?;
    let look = look("nstat")?;
    ping(&site.client, "3")?;
    // It prints what was added since it was run last, by this file.
    let history = site.scratch.path().join("nstat");
    let history = format!("NSTAT_HISTORY={}", history.display());
    look.compare(&site.host.run(&[&["env", &history], &look.words()[..]].concat())?)
}

//! `prroute monitor`.

mod capture;
mod line;
mod names;
mod question;
mod said;

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};
use prroute_common::trace::Filter;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::capture::Capture;
use self::line::Names as _;
use self::names::Known;
use self::question::Question;
use crate::cli::MonitorArgs;
use crate::cmd::tables::tables;
use crate::cmd::{NotRunning, belongs, events, output};
use crate::datapath::Pins;
use crate::datapath::trace::{RENEWAL, TracedPacket, Tracer};
use crate::instance::Instance;
use crate::json::{EventJson, MonitorJson};

/// Packets that are shown in a second, and that are written to a file.
const SHOWN: u32 = 1000;
const WRITTEN: u32 = 10_000;

/// Nobody waits for the end of this: a century.
const NEVER: Duration = Duration::from_secs(3_155_760_000);

pub(super) async fn run(args: &MonitorArgs) -> Result<()> {
    let question = Question::parse(&args.words)?;
    let instance = &args.instance.instance;
    if args.write.is_some() && !question.kinds.packet {
        bail!("--write writes packets: `prroute monitor packet CONDITION.. -w FILE`");
    }
    let found = belongs::find_present(instance, "monitor")?;
    let pins = Pins::of(instance);
    let names = Known::of(instance);
    let tracer = match question.kinds.needs_programs() {
        true if tables(instance, found.daemon)?.is_none() && found.daemon.is_none() => {
            return Err(NotRunning::of(instance).into());
        }
        true => Some(ask(&pins, args, &question, &names)?),
        // That there is no daemon is said when it is asked.
        false if found.daemon.is_some() => {
            names.asked(&question)?;
            None
        }
        false => None,
    };
    let mut shown = Shown::new(args, &question, names)?;
    let ended = show(&mut shown, tracer, &question, instance).await;
    shown.end()?;
    ended
}

/// Begins to ask the programs.
fn ask(
    pins: &Pins,
    args: &MonitorArgs,
    question: &Question,
    names: &Known,
) -> Result<AsyncFd<Tracer>> {
    let uplink = names.asked(question)?;
    if Tracer::is_taken(pins)? {
        bail!("another `prroute monitor` asks the programs already, and they have one filter");
    }
    let most = if args.write.is_some() { WRITTEN } else { SHOWN };
    let tracer = Tracer::begin(pins, Filter { uplink, most, ..question.filter })?;
    // SAFETY: the descriptor is the ring buffer's, which stays open for as long as it is here.
    let tracer = unsafe { AsyncFd::register_with_interest(tracer, Interest::READABLE) };
    tracer.map_err(std::io::Error::from).context("wait for the ring buffer of the programs")
}

async fn show(
    shown: &mut Shown<'_>,
    mut tracer: Option<AsyncFd<Tracer>>,
    question: &Question,
    instance: &Instance,
) -> Result<()> {
    let pins = Pins::of(instance);
    let end = Instant::now() + question.time.unwrap_or(NEVER);
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut renewal = interval(RENEWAL);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (news, mut said) = tokio::sync::mpsc::unbounded_channel();
    let known = match question.kinds.needs_events() {
        true => Some(events::read(instance, None, 0).await?),
        false => None,
    };
    let follows = known.is_some();
    let mut follower = std::pin::pin!(said::follow(instance, known, news));
    // As tcpdump: who sees nothing knows that it is not because nothing runs.
    output::remark("watching; Ctrl-C ends it");
    while !shown.is_full() {
        tokio::select! {
            () = sleep_until(end) => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = renewal.tick() => {
                if let Some(tracer) = &mut tracer {
                    if !tracer.get_ref().is_current(&pins) {
                        bail!("the programs were removed, or loaded anew with empty tables: start this again");
                    }
                    tracer.get_mut().renew()?;
                    shown.skipped = tracer.get_ref().skipped()?;
                }
                shown.flush()?;
            }
            failed = &mut follower, if follows => return failed,
            Some(event) = said.recv() => shown.event(&event)?,
            ready = readable(&mut tracer) => {
                let mut ready = ready.context("wait for the ring buffer of the programs")?;
                let tracer = ready.get_inner_mut();
                while !shown.is_full() && let Some(packet) = tracer.next_packet() {
                    shown.packet(&packet)?;
                }
                shown.skipped = tracer.skipped()?;
                ready.clear_ready();
            }
        }
    }
    Ok(())
}

/// When there are reports; without programs never.
async fn readable(
    tracer: &mut Option<AsyncFd<Tracer>>,
) -> std::io::Result<tokio::io::unix::AsyncFdReadyMutGuard<'_, Tracer>> {
    match tracer {
        Some(tracer) => tracer.readable_mut().await,
        None => std::future::pending().await,
    }
}

/// What is written, and how much was.
struct Shown<'a> {
    args: &'a MonitorArgs,
    question: &'a Question,
    names: Known,
    capture: Option<Capture>,
    lines: u64,
    skipped: u64,
}

impl<'a> Shown<'a> {
    fn new(args: &'a MonitorArgs, question: &'a Question, names: Known) -> Result<Self> {
        let capture = args.write.as_deref().map(Capture::create).transpose()?;
        Ok(Self { args, question, names, capture, lines: 0, skipped: 0 })
    }

    fn is_full(&self) -> bool {
        self.question.count.is_some_and(|count| self.lines >= count)
    }

    fn packet(&mut self, packet: &TracedPacket) -> Result<()> {
        let clock = boot_time();
        let kind = if self.question.kinds.packet { "packet" } else { "flow" };
        let time = line::time(clock, packet.time);
        if let Some(capture) = &mut self.capture {
            let comment = line::outcome(&packet.decision, &self.names);
            capture.add(packet, self.names.device(packet.device.0), clock, &comment)?;
        }
        match self.args.json {
            true => {
                let object = line::json(packet, kind, time, &self.names);
                printed(&MonitorJson::Traced(object))?;
            }
            false if self.capture.is_none() => {
                let time = line::shown_time(&time, self.args.timestamp);
                output::line(format!("{time} {}", line::text(packet, &self.names)))?;
            }
            false => {}
        }
        self.lines += 1;
        Ok(())
    }

    fn event(&mut self, event: &EventJson) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let Some(kind) = said::kind(event, self.question) else { return Ok(()) };
        match self.args.json {
            true => {
                printed(&MonitorJson::Said(said::json(event, kind)))?;
            }
            false => {
                let time = line::shown_time(&event.time, self.args.timestamp);
                output::line(format!("{time} {}", said::text(event)))?;
            }
        }
        self.lines += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.capture.as_mut().map_or(Ok(()), Capture::flush)
    }

    fn end(&mut self) -> Result<()> {
        self.flush()?;
        // On standard error, where it is in the way of no JSON.
        if self.question.kinds.needs_programs() {
            let lines = self.lines;
            let skipped = match self.skipped {
                0 => String::new(),
                more => format!(
                    ", {more} more were not shown (at most {} in a second)",
                    if self.capture.is_some() { WRITTEN } else { SHOWN }
                ),
            };
            output::remark(format!("{lines} shown{skipped}"));
        }
        Ok(())
    }
}

/// The time of day at which the monotonic clock began.
fn boot_time() -> SystemTime {
    let since = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    SystemTime::now() - since
}

fn printed(line: &MonitorJson) -> Result<()> {
    Ok(output::written_json(&format!("{}\n", serde_json::to_string(line)?))?)
}

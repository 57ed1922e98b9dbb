//! `prroute flows`.

mod columns;
mod error;
mod filter;
mod gathering;
mod listing;
mod state;
mod summary;
mod uplinks;
mod words;

use std::io::{IsTerminal as _, stdout};
use std::time::Duration;

use anyhow::Result;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

pub use self::error::FilterError;
use self::filter::Wanted;
pub(super) use self::listing::Flows;
use crate::causes::with_causes;
use crate::cli::FlowsArgs;
use crate::cmd::tables::tables;
use crate::cmd::{NotRunning, belongs, output, socket};
use crate::instance::Instance;

/// So many are shown on a terminal.
const ON_A_TERMINAL: usize = 200;

/// What is asked for: the command's options, and a request's query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Question {
    filter: String,
    tcp: bool,
    udp: bool,
    ipv4: bool,
    ipv6: bool,
    summary: bool,
    /// With the guests that flows are translated to. Not sent unless asked for: an older daemon may answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    extended: bool,
    /// 0: all.
    limit: usize,
    /// More than that is given to root alone.
    #[serde(skip)]
    is_limited: bool,
}

impl Question {
    fn of(args: &FlowsArgs) -> Self {
        let is_for_people = !args.json && stdout().is_terminal();
        Self {
            filter: args.filter.join(" "),
            tcp: args.tcp,
            udp: args.udp,
            ipv4: args.ipv4,
            ipv6: args.ipv6,
            summary: args.summary,
            extended: args.extended || args.json,
            limit: args.limit.unwrap_or(if is_for_people { ON_A_TERMINAL } else { 0 }),
            is_limited: false,
        }
    }

    /// # Errors
    ///
    /// When it is none.
    pub(super) fn parse(query: &str) -> Result<Self> {
        let question: Self = serde_urlencoded::from_str(query)?;
        Wanted::parse(&question.filter)?;
        Ok(question)
    }

    /// At most so many, whatever was asked for.
    pub(super) fn limit_to(&mut self, most: usize) {
        self.is_limited = self.limit == 0 || self.limit > most;
        if self.is_limited {
            self.limit = most;
        }
    }

    pub(super) fn answer(&self, flows: &Flows, json: bool) -> Result<String> {
        Ok(match json {
            true => format!("{}\n", serde_json::to_string(&flows.json(self.summary))?),
            false => flows.text(self.summary),
        })
    }
}

pub(super) async fn run(args: &FlowsArgs) -> Result<()> {
    let question = Question::of(args);
    // Told before anything is asked.
    Wanted::parse(&question.filter)?;
    let Some(period) = args.watch else { return show(args, &question).await };
    loop {
        if !args.json {
            output::begin_again()?;
        }
        match show(args, &question).await {
            Err(error) if socket::is_gone(&error) => {
                output::failure(with_causes(error.as_ref()));
            }
            shown => shown?,
        }
        tokio::time::sleep(Duration::from_secs(period.into())).await;
    }
}

async fn show(args: &FlowsArgs, question: &Question) -> Result<()> {
    let instance = &args.instance.instance;
    if socket::is_needed()? {
        let target = format!("/v1/flows?{}", serde_urlencoded::to_string(question)?);
        let answer = socket::ask_here(instance, &target, !args.json, socket::PATIENCE).await?;
        return write(&answer.body, args.json);
    }
    let found = belongs::find_present(instance, "flows")?;
    if tables(instance, found.daemon)?.is_none() && found.daemon.is_none() {
        return Err(NotRunning::of(instance).into());
    }
    let flows = read(instance, found.daemon, question)?;
    write(&question.answer(&flows, args.json)?, args.json)
}

fn write(answer: &str, json: bool) -> Result<()> {
    match json {
        true => output::written_json(answer)?,
        false => output::text(answer)?,
    }
    Ok(())
}

/// Those that are asked for.
pub(super) fn read(instance: &Instance, daemon: Option<Pid>, question: &Question) -> Result<Flows> {
    Flows::read(instance, daemon, question, &Wanted::parse(&question.filter)?)
}

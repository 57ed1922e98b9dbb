//! What becomes of a request and of its reply, step by step: `ip route get` for replies.
//!
//! Each step is a file: what it depends on is gathered first (from the kernel, which is asked and not
//! imitated, and from the programs themselves), and then judged without it. Nothing is changed, and
//! nothing is sent.
//!
//! ```text
//! uplink -> program in -> nat -> rp_filter -> address -> forwarding -> netfilter -> listener or guest
//!     -> rule -> route -> netfilter -> program out -> leaves -> verdict
//! ```

mod address;
mod flow;
mod forwarding;
mod guest;
mod host;
mod listener;
mod nat;
mod netfilter;
mod next_hop;
mod program;
mod question;
mod rehearse;
mod reply;
mod request;
mod route;
mod rp_filter;
mod rule;
mod step;
mod uplink;
mod verdict;

use anyhow::{Result, bail};

use self::host::Host;
pub(crate) use self::question::Question;
pub(crate) use self::question::QuestionError;
use self::rehearse::Rehearser;
#[cfg(test)]
pub(crate) use self::step::Stage;
pub(crate) use self::step::{Found, Step};
pub(crate) use self::verdict::{Kind, Leaves, Verdict};
use crate::examine::Examination;
use crate::state::observed::Link;

/// The answer to a question.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    /// With what was not told and was found out.
    pub(crate) question: Question,
    /// For the interface that was asked about, or for each uplink.
    pub(crate) ways: Vec<Way>,
}

/// What becomes of a request that comes in by one interface.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) iif: String,
    /// Its id, where it is an uplink.
    pub(crate) uplink: Option<u16>,
    pub(crate) steps: Vec<Step>,
    /// The reply gets as far as that.
    pub(crate) leaves: Option<Leaves>,
    pub(crate) verdict: Verdict,
    /// Programs would have had something to decide, and none are loaded.
    pub(crate) lacks_programs: bool,
}

/// # Errors
///
/// When there is no such interface or flow, or when the kernel cannot be asked.
pub(crate) async fn explain(examined: &Examination, question: Question) -> Result<Explanation> {
    examined.in_force.expect_no_other()?;
    let question = flow::found(examined, question)?;
    let host = Host::look(examined).await?;
    let mut ways = Vec::new();
    for link in interfaces(&host, &question)? {
        ways.push(way(&host, &question, link).await?);
    }
    Ok(Explanation { question, ways })
}

fn interfaces<'a>(host: &Host<'a>, question: &Question) -> Result<Vec<&'a Link>> {
    let links = &host.observed.links;
    let Some(name) = &question.iif else {
        let uplinks = host.uplinks.0.iter();
        let found: Vec<&Link> =
            uplinks.filter_map(|uplink| host.observed.link(uplink.device.ifindex)).collect();
        if found.is_empty() {
            bail!("there is no uplink here; `iif INTERFACE` asks about any interface");
        }
        return Ok(found);
    };
    let is_it = |link: &&Link| link.name == *name || link.altnames.contains(name);
    match links.iter().find(is_it) {
        Some(link) => Ok(vec![link]),
        None => bail!("there is no interface {name}"),
    }
}

async fn way(host: &Host<'_>, question: &Question, iif: &Link) -> Result<Way> {
    let mut course = Course::default();
    let mut rehearser = match host.has_programs() {
        true => Some(Rehearser::load(host.pins(), question)?),
        false => None,
    };
    let leaves = match request::follow(host, &mut course, question, iif, &mut rehearser).await? {
        Some(received) => {
            reply::follow(host, &mut course, question, iif, &received, &mut rehearser).await?
        }
        None => None,
    };
    let verdict = verdict::judge(&iif.name, &course.steps, leaves.as_ref());
    Ok(Way {
        iif: iif.name.clone(),
        uplink: host.uplinks.of(iif.ifindex).map(|uplink| uplink.id.0),
        steps: course.steps,
        leaves,
        lacks_programs: verdict.kind == Kind::WrongUplink && !host.has_programs(),
        verdict,
    })
}

/// The steps so far.
#[derive(Debug, Default)]
struct Course {
    steps: Vec<Step>,
}

impl Course {
    /// Whether the packet goes on.
    fn take(&mut self, step: Step) -> bool {
        let goes_on = step.found != Found::Stop;
        self.steps.push(step);
        goes_on
    }
}

//! `prroute explain`.

mod report;
mod text;

use anyhow::{Result, bail};

use crate::cli::ExplainArgs;
use crate::cmd::{NotRunning, belongs, output};
use crate::examine::Examination;
use crate::explain::{Explanation, Kind, Question, Way, explain};
use crate::state::observed::Family;

/// What becomes of the reply depends on what could not be read.
#[derive(Debug, thiserror::Error)]
#[error("what could not be read decides about the reply over {0}")]
pub struct Unread(String);

pub(super) async fn run(args: &ExplainArgs) -> Result<()> {
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Some(Family::V4),
        (_, true) => Some(Family::V6),
        _ => None,
    };
    let question = Question::parse(&args.words, family)?;
    let instance = &args.instance.instance;
    let found = belongs::find_present(instance, "explain")?;
    let examined = Examination::of(instance, found.daemon).await?;
    let explanation = explain(&examined, question).await?;
    match args.json {
        true => output::json(&report::of(&explanation))?,
        false => output::text(&text::of(&explanation))?,
    }
    let of = |kinds: &[Kind]| over(&explanation, |way| kinds.contains(&way.verdict.kind));
    let wrong = over(&explanation, |way| {
        !way.lacks_programs && !matches!(way.verdict.kind, Kind::Answered | Kind::Unknown)
    });
    match (wrong, of(&[Kind::WrongUplink]), of(&[Kind::Unknown])) {
        (Some(names), ..) => bail!("not answered over {names}"),
        (None, Some(_), _) => Err(NotRunning::of(instance).into()),
        (None, None, Some(names)) => Err(Unread(names).into()),
        (None, None, None) => Ok(()),
    }
}

/// Names of the interfaces of some ways; `None`: there are none.
fn over(explanation: &Explanation, is_it: impl Fn(&Way) -> bool) -> Option<String> {
    let ways = explanation.ways.iter().filter(|way| is_it(way));
    let names: Vec<&str> = ways.map(|way| way.iif.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

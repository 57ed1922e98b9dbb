//! Both ways of keeping the host's own sources, for cases that hold in either.

use anyhow::{Context as _, Result, bail};

/// The configuration's `own-source`: what sends packets of the host's own by their source's uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnSource {
    Rules,
    Datapath,
}

impl OwnSource {
    pub const BOTH: [Self; 2] = [Self::Rules, Self::Datapath];

    /// What instances use that are not told: `PRROUTE_OWN_SOURCE`, or the default.
    pub(crate) fn from_environment() -> Result<Self> {
        match std::env::var("PRROUTE_OWN_SOURCE").as_deref() {
            Err(_) | Ok("" | "rules") => Ok(Self::Rules),
            Ok("datapath") => Ok(Self::Datapath),
            Ok(other) => bail!("PRROUTE_OWN_SOURCE is {other:?}: neither rules nor datapath"),
        }
    }

    /// The line of a configuration, where it says more than the default.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Rules => "",
            Self::Datapath => "own-source = \"datapath\"\n",
        }
    }
}

/// Runs a case in both modes, one after the other; an error says in which one.
pub fn in_both_modes(case: impl Fn(OwnSource) -> Result<()>) -> Result<()> {
    for mode in OwnSource::BOTH {
        case(mode).with_context(|| format!("with own-source {mode:?}"))?;
    }
    Ok(())
}

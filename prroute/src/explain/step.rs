//! One step of a packet's way, and what is to be said of it.

use std::fmt;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The packet goes on.
    Ok,
    /// It goes on, but not as one would expect.
    Warn,
    /// Its way ends here.
    Stop,
    /// It goes on, if what could not be read lets it.
    Unknown,
    /// There is nothing here that it depends on.
    Nothing,
}

/// Which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Uplink,
    ProgramIn,
    Nat,
    RpFilter,
    Address,
    Forwarding,
    NetfilterIn,
    Listener,
    Guest,
    Rule,
    Route,
    NetfilterOut,
    ProgramOut,
    Leaves,
}

impl Stage {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::ProgramIn => "program in",
            Self::Nat => "nat",
            Self::RpFilter => "rp_filter",
            Self::Address => "address",
            Self::Forwarding => "forwarding",
            Self::NetfilterIn | Self::NetfilterOut => "netfilter",
            Self::Listener => "listener",
            Self::Guest => "guest",
            Self::Rule => "rule",
            Self::Route => "route",
            Self::ProgramOut => "program out",
            Self::Leaves => "leaves",
        }
    }

    /// Of the request, and not of the reply.
    pub(crate) const fn is_of_request(self) -> bool {
        !matches!(
            self,
            Self::Rule | Self::Route | Self::NetfilterOut | Self::ProgramOut | Self::Leaves
        )
    }
}

/// A step that was looked at. Texts are half sentences without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) stage: Stage,
    pub(crate) found: Found,
    pub(crate) detail: String,
    /// Why the way ends here, where `detail` does not say it.
    pub(crate) cause: Option<String>,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// What it depends on: names and values as the kernel's tools have them.
    pub(crate) object: Vec<(&'static str, String)>,
    /// Nobody answers, and the sender is told so: by RST, or by an ICMP error.
    pub(crate) is_refusal: bool,
    /// Where it is unknown: all that comes after it may be otherwise, too.
    pub(crate) decides_the_rest: bool,
}

impl Step {
    pub(crate) fn new(stage: Stage, found: Found, detail: impl Into<String>) -> Self {
        Self {
            stage,
            found,
            detail: detail.into(),
            cause: None,
            remedy: None,
            object: Vec::new(),
            is_refusal: false,
            decides_the_rest: false,
        }
    }

    pub(crate) fn ok(stage: Stage, detail: impl Into<String>) -> Self {
        Self::new(stage, Found::Ok, detail)
    }

    pub(crate) fn stop(stage: Stage, detail: impl Into<String>) -> Self {
        Self::new(stage, Found::Stop, detail)
    }

    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn object(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.object.push((name, value.to_string()));
        self
    }

    pub(crate) fn decides_the_rest(mut self) -> Self {
        self.decides_the_rest = true;
        self
    }

    pub(crate) fn refusal(mut self) -> Self {
        self.is_refusal = true;
        self
    }
}

//! What keeps own sources, in the reports.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::OwnSource;
use crate::state::observed::Family;
use crate::state::own_source::{Account, Cause};

#[derive(Clone, JsonSchema, Serialize)]
pub(crate) struct OwnSourceJson {
    /// `ipv4` or `ipv6`.
    family: &'static str,
    /// What keeps them by their uplink.
    kept_by: OwnSource,
    /// Rules beside the kernel's: it asks all of them for every packet that it routes.
    rules: Vec<CauseJson>,
    /// There were some before: the kernel goes on asking.
    had_rules: bool,
    /// The same in words.
    #[serde(skip)]
    pub(crate) sentences: Vec<String>,
}

#[derive(Clone, JsonSchema, Serialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
enum CauseJson {
    /// Addresses of the host.
    Sources,
    /// `to` of the configuration.
    Destinations,
    /// `bind-device`.
    Devices,
    /// Rules that are not prroute's.
    Others {
        /// How many.
        count: usize,
        /// The priority of the first.
        first: u32,
    },
}

impl From<&Account> for OwnSourceJson {
    fn from(account: &Account) -> Self {
        let Account { family, asked: _, kept_by, causes, had_rules } = account;
        Self {
            family: match family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            },
            kept_by: *kept_by,
            rules: causes.iter().map(Into::into).collect(),
            had_rules: *had_rules,
            sentences: std::iter::once(account.to_string()).chain(account.cost()).collect(),
        }
    }
}

impl From<&Cause> for CauseJson {
    fn from(cause: &Cause) -> Self {
        match *cause {
            Cause::Sources => Self::Sources,
            Cause::Destinations => Self::Destinations,
            Cause::Devices => Self::Devices,
            Cause::Others { count, first } => Self::Others { count, first },
        }
    }
}

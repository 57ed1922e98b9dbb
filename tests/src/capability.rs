//! The unit's capabilities, for programs that the test process loads itself.

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability};

/// What the unit grants: the verifier treats programs by it.
const UNIT: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_NET_ADMIN];

/// Gives up, for the calling thread alone, every capability that the unit does not grant.
pub fn keep_the_units() -> Result<()> {
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &UNIT.into_iter().collect())
            .with_context(|| format!("keep the unit's capabilities ({set:?})"))?;
    }
    Ok(())
}

//! Another version whose programs remember flows in another form: they are forgotten, and it is said so.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use prroute_common::{LAYOUT_VERSION, MEMORY_VERSION};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::in_both_modes;
use prroute_tests::prroute;

use super::{OTHER_LAYOUT, Versions, ensure_only};
use crate::conversations::{Conversations, Flood, expect_nothing_lost};

/// The directory that says of a layout what its programs remember is of another version than this one's.
fn remember_otherwise(lab: &Lab) -> Result<()> {
    let layout = prroute::pins(lab.name()).join(format!("v{LAYOUT_VERSION}"));
    let mark = layout.join(format!("memory:{MEMORY_VERSION}"));
    fs::remove_dir(&mark).with_context(|| format!("remove {}", mark.display()))?;
    fs::create_dir(layout.join("memory:99")).context("say that it is of another version")
}

#[test]
fn flows_in_another_form_are_forgotten_and_taken_up_again_when_their_clients_send() -> Result<()> {
    in_both_modes(|own_source| {
        let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
        let Versions { this, other } = Versions::of(&lab, "", own_source)?;
        let daemon = this.run(&[])?;
        let mut conversations = Conversations::open(&lab)?;
        daemon.terminate()?;
        remember_otherwise(&lab)?;
        let daemon = other.run(&[])?;
        ensure_only(&lab, OTHER_LAYOUT)?;
        let log = daemon.process.log();
        ensure!(log.contains("remembers flows in another form"), "it is said:\n{log}");
        conversations.go_on().context("clients speak first")?;
        conversations.host_speaks_first()?;
        expect_nothing_lost(&lab, &conversations, Flood::all(&lab)?)?;
        daemon.terminate()?;
        other.down()?;
        Ok(())
    })
}

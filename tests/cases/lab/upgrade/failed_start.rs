//! A version that cannot start leaves the datapath of the one before as it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use prroute_common::LAYOUT_VERSION;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::own_source::OwnSource;
use prroute_tests::prroute::{self, Instance};

use super::{OTHER_LAYOUT, Versions, layouts};
use crate::conversations::{Conversations, Flood, expect_nothing_lost};

/// `EM_BPF` of an ELF header's `e_machine`.
const BPF_MACHINE: [u8; 2] = [247, 0];

/// `exit`, as a program's first instruction: the verifier finds that nothing is returned.
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// The other version with programs that no kernel accepts.
fn with_bad_programs(lab: &Lab) -> Result<PathBuf> {
    let mut binary = fs::read(prroute::other_version()?).context("read the other version")?;
    let elf = *b"\x7fELF\x02\x01\x01";
    let is_object = |at: &usize| {
        binary[*at..].starts_with(&elf) && binary.get(at + 18..at + 20) == Some(&BPF_MACHINE[..])
    };
    let object = (1..binary.len()).find(is_object).context("no BPF object in the binary")?;
    let word = |at: usize, length: usize| -> Result<usize> {
        let bytes = binary.get(object + at..object + at + length).context("a short object")?;
        let mut word = [0; 8];
        word[..length].copy_from_slice(bytes);
        Ok(usize::try_from(u64::from_le_bytes(word))?)
    };
    // Elf64_Ehdr: e_shoff, e_shentsize, e_shnum; Elf64_Shdr: sh_type, sh_flags, sh_offset, sh_size.
    let (sections, size, count) = (word(0x28, 8)?, word(0x3a, 2)?, word(0x3c, 2)?);
    let mut programs = Vec::new();
    for header in (0..count).map(|number| sections + number * size) {
        let is_code = word(header + 4, 4)? == 1 && word(header + 8, 8)? & 4 != 0;
        if is_code && word(header + 0x20, 8)? >= EXIT.len() {
            programs.push(object + word(header + 0x18, 8)?);
        }
    }
    ensure!(!programs.is_empty(), "no programs in the BPF object");
    for at in programs {
        binary[at..at + EXIT.len()].copy_from_slice(&EXIT);
    }
    let path = lab.scratch.path().join("prroute-bad");
    fs::write(&path, &binary)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(path)
}

/// Starts it, which must fail and say why.
fn expect_no_start(new: &Instance<'_>, why: &str) -> Result<()> {
    let output = new.output(&["run"])?;
    ensure!(output.status.code() == Some(1), "{}: {}", output.status, output.stderr);
    ensure!(output.stderr.contains(why), "nothing about {why:?} in:\n{}", output.stderr);
    Ok(())
}

/// The commands of a version whose programs are not in force say so, and nothing of its own maps. `code`: how
/// `status` ends.
fn expect_not_in_force(version: &Instance<'_>, code: i32) -> Result<()> {
    const SAID: &str = "another version of prroute are in force";
    let status = version.output(&["status"])?;
    ensure!(status.status.code() == Some(code), "{}: {}", status.status, status.stdout);
    // Its lines are no longer than a terminal's.
    let said = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(said.contains(SAID), "{said}");
    ensure!(!said.contains("forgets all flows") && !said.contains("not attached"), "{said}");
    let explain = ["explain", "tcp", "from", "203.0.113.11", "to", "198.51.100.10:8080"];
    for words in [&["flows"][..], &explain, &["monitor", "packet", "count", "1"]] {
        let output = version.output(words)?;
        ensure!(output.status.code() == Some(1), "{words:?}: {}", output.status);
        ensure!(output.stderr.contains(SAID), "{words:?}: {}", output.stderr);
        ensure!(!output.stdout.contains("is gone"), "{words:?}: {}", output.stdout);
    }
    Ok(())
}

#[test]
fn a_start_that_fails_leaves_the_other_versions_datapath_working() -> Result<()> {
    let lab = Lab::build(Topology { rp_filter: 1, ..Topology::DEFAULT })?;
    let Versions { this, other } = Versions::of(&lab, "", OwnSource::Rules)?;
    let bad = lab.prroute()?.of_build(with_bad_programs(&lab)?);
    let daemon = this.run(&[])?;
    let mut conversations = Conversations::open(&lab)?;
    let floods = Flood::all(&lab)?;
    daemon.terminate()?;

    expect_no_start(&bad, "prroute_ingress").context("the verifier refuses its programs")?;
    conversations.host_speaks_first()?;
    expect_not_in_force(&bad, 3).context("its maps are pinned, and are not those that are used")?;
    let pinned = prroute::pins(lab.name());
    let in_the_way: &Path = &pinned.join(format!("v{OTHER_LAYOUT}/UPLINK_FACTS"));
    if in_the_way.exists() {
        fs::remove_file(in_the_way)?;
    }
    fs::create_dir_all(in_the_way)?;
    expect_no_start(&other, "UPLINK_FACTS").context("a directory is in the place of a map")?;
    conversations.host_speaks_first()?;
    conversations.go_on()?;
    ensure!(layouts(&lab)?.contains(&format!("v{LAYOUT_VERSION}")), "its pins are there");

    // The one before goes on as if nothing had been tried; the other one, too, once it can.
    fs::remove_dir(in_the_way)?;
    let daemon = this.run(&[])?;
    super::ensure_only(&lab, LAYOUT_VERSION)?;
    expect_not_in_force(&other, 0).context("installed beside a daemon of the version before")?;
    other.output(&["wait", "--timeout", "20s"])?.success()?;
    conversations.host_speaks_first()?;
    daemon.terminate()?;
    let daemon = other.run(&[])?;
    super::ensure_only(&lab, OTHER_LAYOUT)?;
    conversations.host_speaks_first()?;
    expect_nothing_lost(&lab, &conversations, floods)?;
    daemon.terminate()?;
    other.down()?;
    Ok(())
}

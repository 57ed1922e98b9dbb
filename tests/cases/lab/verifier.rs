//! The kernel's verifier accepts every program, in each form it is loaded in, under exactly the
//! unit's three capabilities; and a program that it refuses is seen here.

use ::prroute::datapath::sockets::lacks_cookie;
use anyhow::{Context as _, Result, ensure};
use prroute_tests::command;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::prroute::{self, CAPABILITIES, STOP};
use prroute_tests::scratch;

const TOPOLOGY: Topology = Topology { uplinks: 2, ..Topology::DEFAULT };

#[test]
fn every_program_is_accepted_under_the_units_capabilities() -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    let prroute = lab.prroute()?;
    // The log is folded out of the programs where nobody reads it.
    let forms: [&[&str]; 4] =
        [&[], &["--log-packets"], &["--observe"], &["--observe", "--log-packets"]];
    for options in forms {
        let daemon = prroute.run(options)?;
        let status = prroute.status()?;
        let uplinks = status["uplinks"].as_array().map_or(0, Vec::len);
        ensure!(uplinks == 2, "{status:#}");
        // Those on sockets are done without where the kernel refuses them.
        let state = match (options.contains(&"--observe"), lacks_cookie()) {
            (true, _) => "off",
            (false, false) => "attached",
            (false, true) => {
                let reason = status["udp_source"]["reason"].as_str().unwrap_or_default();
                ensure!(reason.contains("SO_NETNS_COOKIE, Linux 5.14"), "{status:#}");
                "unavailable"
            }
        };
        ensure!(status["udp_source"]["state"] == state, "{status:#}");
        daemon.terminate()?;
        prroute.down()?;
    }
    Ok(())
}

/// An instruction: the call of `bpf_redirect_neigh` (helper 152).
const REDIRECT: [u8; 8] = [0x85, 0, 0, 0, 152, 0, 0, 0];

/// The embedded object in a binary: its ELF header says BPF (machine 247).
fn object(binary: &[u8]) -> Option<usize> {
    let is_object = |header: &[u8]| header.starts_with(b"\x7fELF") && header[18..20] == [247, 0];
    binary.windows(20).position(is_object)
}

/// What prroute says when its programs have `instruction` in the place of that call.
fn refusal(instruction: [u8; 8]) -> Result<String> {
    let lab = Lab::build(TOPOLOGY)?;
    let before = lab.snapshot()?;
    let mut binary = std::fs::read(prroute::binary()?).context("read prroute")?;
    let start = object(&binary).context("prroute has no BPF object")?;
    let places: Vec<usize> = binary[start..]
        .windows(REDIRECT.len())
        .enumerate()
        .filter(|(at, bytes)| at.is_multiple_of(8) && *bytes == REDIRECT)
        .map(|(at, _)| start + at)
        .collect();
    ensure!(!places.is_empty(), "no program redirects");
    for place in places {
        binary[place..place + REDIRECT.len()].copy_from_slice(&instruction);
    }
    let (bytes, broken) = (lab.scratch.path().join("bytes"), lab.scratch.path().join("prroute"));
    std::fs::write(&bytes, &binary).context("write a broken prroute")?;
    scratch::install(&bytes, &broken)?;
    let words = [broken.display().to_string(), lab.name().to_owned()];
    let argv = [&CAPABILITIES[..], &[&words[0], "run", "--instance", &words[1]]].concat();
    let run = command::output_within(&mut lab.host.command(&argv), STOP, "")?;
    let down = [&CAPABILITIES[..], &[&words[0], "down", "--instance", &words[1]]].concat();
    lab.host.run(&down)?;
    ensure!(!run.status.success(), "the broken programs were accepted: {}", run.stderr);
    lab.expect_unchanged_since(&before).context("left behind")?;
    Ok(run.stderr)
}

#[test]
fn a_program_that_calls_an_unknown_helper_is_refused() -> Result<()> {
    let said = refusal([0x85, 0, 0, 0, 0xff, 0x7f, 0, 0])?;
    ensure!(said.contains("load program prroute_egress"), "{said}");
    ensure!(said.contains("func unknown#32767"), "{said}");
    Ok(())
}

#[test]
fn a_program_with_instructions_that_nothing_reaches_is_refused() -> Result<()> {
    // goto -1
    let said = refusal([0x05, 0, 0xff, 0xff, 0, 0, 0, 0])?;
    ensure!(said.contains("load program prroute_egress"), "{said}");
    ensure!(said.contains("unreachable insn"), "{said}");
    Ok(())
}

//! systemd-networkd as it is by default: it deletes rules and routes that it did not make.

use anyhow::{Context as _, Result, ensure};
use prroute_tests::command;
use prroute_tests::lab::Lab;
use prroute_tests::wait;

use crate::network::{TWO_UPLINKS, answered, of_prroute, serve, settles};
use crate::networkd::{Defaults, Manager};
use crate::pings::{self, Asker, EVERY_ADDRESS, FIRST_UPLINK};
use crate::service::{JOB, Service, systemctl};

/// Warnings that things were put back, for all changes together. Without an end there would be one
/// for each time that networkd deletes.
const WARNINGS: usize = 6;

/// What is done, and how.
type Change<'a> = (&'a str, &'a dyn Fn() -> Result<()>);

fn networkctl(words: &[&str]) -> Result<()> {
    command::run(&[&["networkctl"], words].concat()).map(drop)
}

#[test]
fn what_networkd_deletes_is_put_back_and_addresses_that_stay_lose_nothing() -> Result<()> {
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let _defaults = Defaults::set()?;
    let manager = Manager::start()?;
    let reload = || {
        manager.touch(2)?;
        networkctl(&["reload"])
    };
    let reconfigure = || networkctl(&["reconfigure", "up2"]);
    let restart = || systemctl(&["restart", "systemd-networkd.service"]).map(drop);

    let all_done = || {
        let online = ["--interface=up1", "--interface=up2", "--timeout=300"];
        let program = ["/usr/lib/systemd/systemd-networkd-wait-online"];
        let mut command = command::command(&[&program[..], &online].concat())?;
        command::output_within(&mut command, JOB, "")?.success().map(drop)
    };

    let changes: [Change<'_>; 3] =
        [("restart", &restart), ("reload", &reload), ("reconfigure", &reconfigure)];

    // What networkd loses by itself: whoever is on the link needs no prroute.
    for (what, change) in changes {
        let what = format!("{what}, without prroute");
        pings::during(&lab, &what, Asker::Router, &EVERY_ADDRESS, || {
            change()?;
            all_done()
        })?;
    }

    let service = Service::start()?;
    answered(&lab)?;
    let before = of_prroute(&lab)?;
    let state = || service.journal(&[]).unwrap_or_default();
    for (what, change) in changes {
        pings::during(&lab, what, Asker::Client, &EVERY_ADDRESS, || {
            change()?;
            all_done()?;
            settles(&lab, &before)
        })
        // A restart takes away what it takes; nobody touches the first uplink otherwise.
        .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(FIRST_UPLINK.len()))
        .with_context(state)?;
        println!("{what}: put back {} times by now", service.said("put-back")?);
    }
    wait::until("prroute says that something was put back", JOB, || {
        Ok((service.said("put-back")? > 0).then_some(()))
    })
    .with_context(state)?;
    let warnings = service.said("put-back")? + service.said("put-back-later")?;
    ensure!(warnings <= WARNINGS, "{warnings} warnings\n{}", state());
    println!("{}", state());
    Ok(())
}

//! NetworkManager changes connections while they are in use.

use anyhow::{Context as _, Result};
use prroute_tests::lab::Lab;

use crate::network::{TWO_UPLINKS, answered, of_prroute, serve, settles};
use crate::network_manager::{Manager, nmcli};
use crate::pings::{self, Asker, EVERY_ADDRESS};
use crate::service::Service;

/// Runs nmcli with each of these lines.
fn run(lines: &[&str]) -> Result<()> {
    lines.iter().try_for_each(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        nmcli(&words).map(drop)
    })
}

#[test]
fn what_is_activated_reapplied_or_preferred_anew_loses_nothing_on_addresses_that_stay() -> Result<()>
{
    let lab = Lab::around_this_machine(TWO_UPLINKS)?;
    let _echo = serve(&lab)?;
    let _manager = Manager::start()?;
    pings::during(&lab, "up, without prroute", Asker::Router, &EVERY_ADDRESS, || {
        run(&["connection up up2"])
    })?;

    let service = Service::start()?;
    answered(&lab)?;
    let before = of_prroute(&lab)?;
    let state = || service.journal(&[]).unwrap_or_default();
    let prefer = "connection modify up2 ipv4.route-metric 50 ipv6.route-metric 50";
    // What is done, and how many addresses stay meanwhile.
    let changes: [(&str, usize, &[&str]); 3] = [
        ("up", 2, &["connection up up2"]),
        ("reapply", 4, &["device reapply up2"]),
        // NetworkManager adds the IPv6 address anew.
        ("metrics", 3, &[prefer, "device reapply up2"]),
    ];
    for (what, stay, lines) in changes {
        pings::during(&lab, what, Asker::Client, &EVERY_ADDRESS, || {
            run(lines)?;
            settles(&lab, &before)
        })
        .and_then(|outcomes| outcomes.none_lost_where_addresses_stayed(stay))
        .with_context(state)?;
    }
    println!("put back {} times", service.said("put-back")?);
    println!("{}", state());
    Ok(())
}

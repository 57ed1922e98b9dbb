//! Questions to every address over every uplink, and an established connection.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::{socket, wait};

pub(crate) const PORT: u16 = 7007;

/// Within this everything that somebody removed is back.
pub(crate) const HEALED: Duration = Duration::from_secs(5);

/// How long to wait for one answer. Answers come at once or never, and who asks again waits no longer.
const ANSWER: Duration = Duration::from_millis(200);

/// Who asks once waits as long as a busy machine may need.
const ONLY_ANSWER: Duration = Duration::from_secs(5);

pub(crate) struct Talk {
    connection: TcpStream,
    _echo: Echo,
}

pub(crate) fn lab() -> Result<Lab> {
    Lab::build(Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT })
}

impl Talk {
    /// A server at every address; a connection over uplink 2 to the shared one, whose replies the
    /// datapath alone moves.
    pub(crate) fn prepare(lab: &Lab) -> Result<Echo> {
        lab.steer(2, Family::V4)?;
        let addresses: BTreeSet<IpAddr> = targets().map(|(_, target)| target).collect();
        Echo::start(&lab.host, &Vec::from_iter(addresses), PORT)
    }

    pub(crate) fn begin(lab: &Lab, echo: Echo) -> Result<Self> {
        let source = addressing::stateless_client(Family::V4);
        let connection = socket::tcp(&lab.client, source, addressing::shared(Family::V4), PORT)?;
        let mut talk = Self { connection, _echo: echo };
        talk.expect(lab).context("before anything is removed")?;
        Ok(talk)
    }

    /// What is not answered within `patience`: datagrams to own and shared addresses over each uplink.
    fn unanswered(lab: &Lab, patience: Duration) -> Result<Vec<String>> {
        let mut unanswered = Vec::new();
        for (number, target) in targets() {
            let source = addressing::client(number, Family::of(target));
            let client = socket::udp(&lab.client, source, 0)?;
            client.set_read_timeout(Some(wait::patience(patience)))?;
            if !echo::udp_round(&client, SocketAddr::new(target, PORT), 100)? {
                unanswered.push(format!("{target} over uplink {number}"));
            }
        }
        Ok(unanswered)
    }

    /// Everything is answered, soon; the connection goes on.
    pub(crate) fn expect(&mut self, lab: &Lab) -> Result<()> {
        let mut last = Vec::new();
        wait::until("everything is answered", HEALED, || {
            last = Self::unanswered(lab, ANSWER)?;
            Ok(last.is_empty().then_some(()))
        })
        .with_context(|| format!("not answered: {last:?}"))?;
        echo::tcp_round(&mut self.connection, 500).context("the connection")
    }

    /// Nothing is lost from now on.
    pub(crate) fn expect_now(lab: &Lab) -> Result<()> {
        match Self::unanswered(lab, ONLY_ANSWER)? {
            none if none.is_empty() => Ok(()),
            some => bail!("not answered: {some:?}"),
        }
    }
}

/// Uplink and address: the shared address can be reached over each.
fn targets() -> impl Iterator<Item = (u8, IpAddr)> {
    Family::BOTH.into_iter().flat_map(|family| {
        [1, 2]
            .into_iter()
            .flat_map(move |n| [(n, addressing::host(n, family)), (n, addressing::shared(family))])
    })
}

//! prroute beside the address translation of others: services with several back ends as kube-proxy
//! makes them, masquerading, hairpins, and Docker's nftables rules.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prroute_tests::addressing::{self, Family};
use prroute_tests::echo::{self, Echo};
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::netns::Namespace;
use prroute_tests::{services, socket, wait};

/// What clients ask, and where the pods listen.
const SERVICE: u16 = 8080;
const WEB: u16 = 80;
const ECHO: u16 = 7007;

/// Time without an answer after which none is to come.
const SILENCE: Duration = Duration::from_secs(2);
/// Time within which an answer that has to come does.
const PATIENCE: Duration = Duration::from_secs(12);

/// Its protocol number.
const UDP: u64 = 17;

struct Cluster {
    lab: Lab,
    pods: Vec<Namespace>,
    _echoes: Vec<Echo>,
}

impl Cluster {
    fn build(ruleset: &str) -> Result<Self> {
        let mut lab = Lab::build(Topology { ip_forward: true, rp_filter: 1, ..Topology::DEFAULT })?;
        let pods = lab.pods(3)?;
        let mut echoes = Vec::new();
        for (pod, number) in pods.iter().zip(1..) {
            let nginx = services::nginx(pod, &lab.scratch, WEB)?;
            lab.keep_running(nginx);
            let addresses = Family::BOTH.map(|family| addressing::pod(number, family));
            echoes.push(Echo::start(pod, &addresses, ECHO)?);
        }
        lab.host.nft(ruleset)?;
        lab.meet_default_gateway()?;
        Ok(Self { lab, pods, _echoes: echoes })
    }

    /// Six requests over an uplink to its own and to the shared address, TCP and UDP: which are not
    /// answered within `patience`. All answering pods are noted.
    fn silent(
        &self,
        number: u8,
        family: Family,
        patience: Duration,
        by: &mut BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let client = addressing::client(number, family);
        let mut silent = Vec::new();
        let (client, namespace) = (&client, &self.lab.client);
        for target in [addressing::host(number, family), addressing::shared(family)] {
            let (pods, udp) = std::thread::scope(|scope| {
                let web =
                    [(); 2].map(|()| scope.spawn(|| web(namespace, *client, target, patience)));
                let udp = udp(namespace, *client, target, patience);
                (web.map(|thread| thread.join().expect("a request panicked")), udp)
            });
            for pod in pods {
                match pod? {
                    Some(pod) => drop(by.insert(pod)),
                    None => silent.push(format!("TCP to {target}")),
                }
            }
            if !udp? {
                silent.push(format!("UDP to {target}"));
            }
        }
        Ok(silent)
    }

    /// How many datagrams for an uplink's client arrived at the routers of the other ones. (Of a connection that
    /// was begun without prroute the host may still send something there.)
    fn astray(&self, number: u8, family: Family) -> Result<u64> {
        let client = addressing::client(number, family);
        let mut astray = 0;
        for router in self.lab.routers.iter().filter(|router| router.number != number) {
            let arrivals = router.arrivals()?.into_iter();
            astray += arrivals
                .filter(|it| it.destination == client && it.protocol == UDP)
                .map(|it| it.packets)
                .sum::<u64>();
        }
        Ok(astray)
    }

    fn is_reached_over_every_uplink(&self, families: &[Family], pods: usize) -> Result<()> {
        for &family in families {
            for number in 1..=3 {
                let (expected, patience) = if number == 1 { (0, PATIENCE) } else { (6, SILENCE) };
                let silent = self.silent(number, family, patience, &mut BTreeSet::new())?;
                let said = format!("without prroute: {family}, uplink {number}: {silent:?}");
                assert_eq!(silent.len(), expected, "{said}");
            }
        }
        for &family in families {
            self.pods_ask_the_service(family).context("without prroute")?;
        }
        self.lab.with_prroute(|_| {
            for &family in families {
                let mut by = BTreeSet::new();
                for number in 1..=3 {
                    let before = self.astray(number, family)?;
                    let silent = self.silent(number, family, PATIENCE, &mut by)?;
                    ensure!(silent.is_empty(), "{family}, uplink {number}: {silent:?}");
                    // An answer to a question that was asked again counts here, too.
                    let astray = self.astray(number, family)? - before;
                    ensure!(astray == 0, "{family}, uplink {number}: {astray} by others");
                }
                ensure!(by.len() == pods, "{family}, back ends: {by:?}");
                self.pods_ask_outside(family)?;
                self.pods_ask_the_service(family)?;
            }
            Ok(())
        })
    }

    /// Masqueraded: they leave by main's default route, from its address.
    fn pods_ask_outside(&self, family: Family) -> Result<()> {
        let target = addressing::client(1, family);
        let echo = Echo::start(&self.lab.client, &[target], ECHO)?;
        for (pod, number) in self.pods.iter().zip(1..) {
            let source = addressing::pod(number, family);
            let mut tcp = socket::tcp(pod, source, target, ECHO)?;
            for _ in 0..3 {
                echo::tcp_round(&mut tcp, 5_000)?;
            }
            ensure!(udp(pod, source, target, PATIENCE)?, "UDP from {source}");
        }
        drop(echo);
        Ok(())
    }

    /// Through the host's addresses, which brings them back to a pod: perhaps to themselves.
    fn pods_ask_the_service(&self, family: Family) -> Result<()> {
        for (pod, number) in self.pods.iter().zip(1..) {
            let source = addressing::pod(number, family);
            for target in [addressing::host(2, family), addressing::shared(family)] {
                for _ in 0..3 {
                    let answer = web(pod, source, target, PATIENCE)?;
                    answer.with_context(|| format!("{source} asks {target} by a hairpin"))?;
                }
            }
        }
        Ok(())
    }
}

/// Which pod answers an HTTP request, if any.
fn web(
    from: &Namespace,
    source: IpAddr,
    target: IpAddr,
    patience: Duration,
) -> Result<Option<String>> {
    let url = format!("http://{}/", SocketAddr::new(target, SERVICE));
    let patience = wait::whole_seconds(patience).to_string();
    let curl = ["curl", "-sf", "--noproxy", "*", "-m", &patience, "--interface"];
    let output = from.output(&[&curl[..], &[&source.to_string(), &url]].concat())?;
    let pod = output.stdout.split_whitespace().next().map(str::to_owned);
    Ok(pod.filter(|_| output.status.success()))
}

/// Whether a datagram is answered. As clients do, it asks again when it hears nothing: beside other cases of
/// this machine one may be lost.
fn udp(from: &Namespace, source: IpAddr, target: IpAddr, patience: Duration) -> Result<bool> {
    const AT_ONCE: Duration = Duration::from_secs(2);
    let udp = socket::udp(from, source, 0)?;
    udp.set_read_timeout(Some(wait::patience(AT_ONCE)))?;
    for _ in 0..(patience.as_secs() / AT_ONCE.as_secs()) {
        if echo::udp_round(&udp, SocketAddr::new(target, ECHO), 500)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A service with three back ends, taken in turn. With `masquerade` the back ends see the host
/// instead of the client, as with `externalTrafficPolicy: Cluster`.
fn service(masquerade: bool) -> String {
    let mut rules = String::new();
    for (word, family) in [("ip", Family::V4), ("ip6", Family::V6)] {
        for (protocol, port, to) in [("tcp", SERVICE, WEB), ("udp", ECHO, ECHO)] {
            let pods: Vec<String> =
                (1..=3).map(|n| format!("{} : {}", n - 1, addressing::pod(n, family))).collect();
            rules += &format!(
                "meta nfproto {nf} fib daddr type local {protocol} dport {port} \
                 dnat {word} to numgen inc mod 3 map {{ {pods} }} : {to}\n",
                nf = if family == Family::V4 { "ipv4" } else { "ipv6" },
                pods = pods.join(", "),
            );
        }
    }
    let cluster = if masquerade { "oifname pods ct status dnat masquerade" } else { "" };
    format!(
        "table inet services {{
            chain prerouting {{ type nat hook prerouting priority dstnat; {rules} }}
            chain output {{ type nat hook output priority -100; {rules} }}
            chain postrouting {{
                type nat hook postrouting priority srcnat
                iifname pods oifname pods ct status dnat masquerade
                iifname pods oifname != pods masquerade
                {cluster}
            }}
        }}"
    )
}

#[test]
fn a_service_with_several_back_ends() -> Result<()> {
    Cluster::build(&service(false))?.is_reached_over_every_uplink(&Family::BOTH, 3)
}

#[test]
fn a_service_that_hides_its_clients() -> Result<()> {
    Cluster::build(&service(true))?.is_reached_over_every_uplink(&Family::BOTH, 3)
}

/// A socket of the host that is bound to another address than clients ask, at the same port.
#[test]
fn a_socket_of_the_host_at_another_address() -> Result<()> {
    let lab = Lab::build(Topology::DEFAULT)?;
    let bound = Family::BOTH.map(|family| addressing::host(1, family));
    let echo = Echo::start(&lab.host, &bound, ECHO)?;
    let rules: String = Family::BOTH
        .map(|family| {
            let (word, shared) =
                (if family == Family::V4 { "ip" } else { "ip6" }, addressing::shared(family));
            let to = addressing::host(1, family);
            format!("{word} daddr {shared} udp dport {ECHO} dnat {word} to {to}\n")
        })
        .concat();
    lab.host.nft(&format!(
        "table inet services {{
            chain prerouting {{ type nat hook prerouting priority dstnat; {rules} }}
        }}"
    ))?;
    lab.meet_default_gateway()?;
    let ask = |number, family, patience| {
        let client = addressing::client(number, family);
        udp(&lab.client, client, addressing::shared(family), patience)
    };
    for family in Family::BOTH {
        assert!(!ask(2, family, SILENCE)?, "without prroute, {family}");
    }
    lab.with_prroute(|_| {
        for family in Family::BOTH {
            for number in 1..=3 {
                for round in 0..3 {
                    let answered = ask(number, family, PATIENCE)?;
                    ensure!(answered, "{family}, uplink {number}, round {round}");
                }
            }
        }
        drop(echo);
        Ok(())
    })
}

/// Not the engine itself, whose nftables mode needs a newer one than distributions have: the
/// tables and chains that it documents, for one container with two published ports.
#[test]
fn the_ruleset_of_docker_in_nftables_mode() -> Result<()> {
    let mut ruleset = String::new();
    for (word, family) in [("ip", Family::V4), ("ip6", Family::V6)] {
        let pod = addressing::pod(1, family);
        let (loopback, to) = match family {
            Family::V4 => ("127.0.0.0/8", format!("{pod}")),
            Family::V6 => ("::1", format!("[{pod}]")),
        };
        let prefix = match family {
            Family::V4 => "172.17.0.0/24",
            Family::V6 => "fd00:17::/64",
        };
        ruleset += &format!(
            "table {word} docker-bridges {{
    map filter-forward-in-jumps {{
        type ifname : verdict
        elements = {{ \"pods\" : jump filter-forward-in__pods }}
    }}
    map filter-forward-out-jumps {{
        type ifname : verdict
        elements = {{ \"pods\" : jump filter-forward-out__pods }}
    }}
    map nat-postrouting-in-jumps {{
        type ifname : verdict
        elements = {{ \"pods\" : jump nat-postrouting-in__pods }}
    }}
    map nat-postrouting-out-jumps {{
        type ifname : verdict
        elements = {{ \"pods\" : jump nat-postrouting-out__pods }}
    }}
    chain filter-FORWARD {{
        type filter hook forward priority filter; policy accept;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }}
    chain nat-OUTPUT {{
        type nat hook output priority -100; policy accept;
        {word} daddr != {loopback} fib daddr type local counter jump nat-prerouting-and-output
    }}
    chain nat-POSTROUTING {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname vmap @nat-postrouting-out-jumps
        oifname vmap @nat-postrouting-in-jumps
    }}
    chain nat-PREROUTING {{
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump nat-prerouting-and-output
    }}
    chain nat-prerouting-and-output {{
        tcp dport {SERVICE} counter dnat to {to}:{WEB}
        udp dport {ECHO} counter dnat to {to}:{ECHO}
    }}
    chain raw-PREROUTING {{
        type filter hook prerouting priority raw; policy accept;
        {word} daddr {pod} iifname != \"pods\" counter drop comment \"DROP DIRECT ACCESS\"
    }}
    chain filter-forward-in__pods {{
        ct state established,related counter accept
        iifname \"pods\" counter accept comment \"ICC\"
        {word} daddr {pod} tcp dport {WEB} counter accept
        {word} daddr {pod} udp dport {ECHO} counter accept
        counter drop comment \"UNPUBLISHED PORT DROP\"
    }}
    chain filter-forward-out__pods {{
        ct state established,related counter accept
        counter accept comment \"OUTGOING\"
    }}
    chain nat-postrouting-in__pods {{
        iifname \"pods\" ct status dnat counter masquerade comment \"HAIRPIN\"
    }}
    chain nat-postrouting-out__pods {{
        oifname != \"pods\" {word} saddr {prefix} counter masquerade comment \"MASQUERADE\"
    }}
}}
"
        );
    }
    Cluster::build(&ruleset)?.is_reached_over_every_uplink(&Family::BOTH, 1)
}

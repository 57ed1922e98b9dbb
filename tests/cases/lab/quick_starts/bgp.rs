//! The provider's routers speak BGP, and the client has IPv6.

use anyhow::Result;
use prroute_tests::bird::Bird;
use prroute_tests::command;

use super::site::Site;

/// Both routers. Of two routes to an address they take the second router's; to the host they offer a default route each.
const ROUTERS: &str = "\
router id 10.0.1.1;
protocol device {}
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel { ipv6 { import none; export where source = RTS_BGP; }; }
protocol static { ipv4; route 0.0.0.0/0 unreachable; }
protocol static { ipv6; route ::/0 unreachable; }
template bgp host {
    connect delay time 1;
    ipv4 { import all; export where source = RTS_STATIC; };
    ipv6 { import all; export where source = RTS_STATIC; };
}
protocol bgp router1 from host {
    local 10.0.1.1 as 64501;
    neighbor 10.0.1.2 as 64500;
}
protocol bgp router2 from host {
    local 10.0.2.1 as 64502;
    neighbor 10.0.2.2 as 64500;
    default bgp_local_pref 200;
}
";

/// What `rp_filter` does for IPv4.
const STRICT: &str = "table ip6 strict {
    chain from_host {
        type filter hook prerouting priority raw
        ip6 saddr 2001:db8:100::10 fib saddr . iif oif missing drop
    }
}
";

const BIRDC: &str = "#!/bin/sh -e
@BIRDC@ -s @SOCKET@ \"$@\"
case $1 in
disable) router=r0 ;;
enable) router=r1 ;;
*) exit ;;
esac
for _ in $(seq 300); do
    ! ip -n @PROVIDER@ route get 198.51.100.10 | grep -q \"dev $router\" || exit 0
    sleep 0.1
done
exit 1
";

/// Starts BIRD on the provider.
pub(super) fn routers(site: &Site) -> Result<Bird> {
    site.client.ip_batch(
        "address add 2001:db8:7::7/64 dev wan nodad\n\
         route add default via 2001:db8:7::1 dev wan\n",
    )?;
    site.provider.ip("address add 2001:db8:7::1/64 dev wan nodad")?;
    site.provider.sysctl(&["net.ipv6.conf.all.forwarding=1"])?;
    site.provider.nft(STRICT)?;
    site.scratch.write("routers-etc/bird/bird.conf", ROUTERS)?;
    Bird::start(&site.provider, &site.scratch, &site.scratch.path().join("routers-etc"))
}

/// `birdc` of the host. It returns when the routers have followed, as they have when a person types the next command.
pub(super) fn birdc(site: &Site, host: &Bird) -> Result<String> {
    let program = command::run(&["sh", "-c", "command -v birdc"])?;
    let script = BIRDC
        .replace("@BIRDC@", program.trim())
        .replace("@SOCKET@", &host.socket().display().to_string())
        .replace("@PROVIDER@", site.provider.name());
    Ok(script)
}

//! The interface that the request comes in by.

use super::step::{Found, Stage, Step};
use crate::state::findings::word;
use crate::state::observed::Link;
use crate::state::uplink::{Ifindex, Uplink, UplinkId};

/// The uplinks, to be found by what names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uplinks<'a>(pub(crate) &'a [Uplink]);

impl<'a> Uplinks<'a> {
    /// The one that the device is, or stands on.
    pub(crate) fn of(self, ifindex: Ifindex) -> Option<&'a Uplink> {
        self.0.iter().find(|uplink| uplink.device.is_device(ifindex))
    }

    pub(crate) fn with_id(self, id: u16) -> Option<&'a Uplink> {
        self.0.iter().find(|uplink| uplink.id == UplinkId(id))
    }

    pub(crate) fn name(self, id: u16) -> String {
        self.with_id(id).map_or_else(|| format!("#{id} (gone)"), |it| it.device.name.clone())
    }

    /// Both are the same uplink, or the same device.
    pub(crate) fn is_same(self, one: Ifindex, other: Ifindex) -> bool {
        let id = |ifindex| self.of(ifindex).map(|uplink| uplink.id);
        one == other || id(one).is_some_and(|it| id(other) == Some(it))
    }
}

pub(crate) fn judge(link: &Link, uplink: Option<&Uplink>) -> Step {
    let name = &link.name;
    let step = match (link.admin_up, link.carrier, uplink) {
        (false, ..) => Step::stop(Stage::Uplink, format!("{name} is down"))
            .cause(format!("{name} is down: nothing comes in by it"))
            .remedy(format!("ip link set {} up", word(name))),
        (true, false, _) => Step::stop(Stage::Uplink, format!("{name} has no carrier"))
            .cause(format!("{name} has no carrier: nothing comes in by it"))
            .remedy("see to its cable, or to what is at its other end"),
        (_, _, Some(uplink)) => {
            Step::ok(Stage::Uplink, format!("{name} is up (uplink {})", uplink.id))
        }
        (_, _, None) => {
            Step::new(Stage::Uplink, Found::Warn, format!("{name} is up, and no uplink of prroute"))
        }
    };
    step.object("device", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{link, two_networks};

    #[test]
    fn an_interface_that_is_down_ends_the_way() {
        let mut eth1 = link(3, "eth1", None);
        let host = two_networks();
        let uplinks = host.uplinks();
        assert_eq!(judge(&eth1, uplinks.last()).found, Found::Ok);
        assert_eq!(judge(&eth1, None).found, Found::Warn);
        eth1.carrier = false;
        assert_eq!(judge(&eth1, None).detail, "eth1 has no carrier");
        eth1.admin_up = false;
        let step = judge(&eth1, None);
        assert_eq!(
            (step.found, step.remedy.as_deref()),
            (Found::Stop, Some("ip link set eth1 up"))
        );
    }
}

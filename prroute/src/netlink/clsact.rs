//! The clsact qdisc, and our filters on it, by interface index.
//!
//! The qdisc may be somebody else's, so it goes only when nothing is left on it. Whoever removes it
//! removes our filters with it: what is gone is as good as removed.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};
use nix::errno::Errno;
use nix::libc::ETH_P_ALL;

use super::{Kernel, NetlinkError, Refusal};
use crate::state::uplink::Ifindex;

/// Of the qdisc itself.
pub(super) const CLSACT_HANDLE: TcHandle = TcHandle { minor: 0, ..TcHandle::CLSACT };

/// Its kind.
pub const CLSACT: &str = "clsact";

/// Before every other filter.
const PRIORITY: u16 = 1;
/// Tells our filter from others of the same priority ("pr").
pub(super) const HANDLE: TcHandle = TcHandle { major: 0, minor: 0x7072 };

/// What the kernel answers when filter, qdisc or interface are not there: without the qdisc a
/// filter's parent, or the qdisc's handle or name, is invalid.
const GONE: [Errno; 3] = [Errno::ENOENT, Errno::ENODEV, Errno::EINVAL];

/// Of packets; clsact has a hook for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    const fn parent(self) -> TcHandle {
        let minor = match self {
            Self::Ingress => TcHandle::MIN_INGRESS,
            Self::Egress => TcHandle::MIN_EGRESS,
        };
        TcHandle { minor, ..TcHandle::CLSACT }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What kind of filter it is: `bpf`, `flower`.
    pub kind: String,
    pub priority: u16,
    /// The name that its program was attached with.
    pub name: String,
    /// The id of its program; 0: it has none.
    pub program: u32,
    /// It has the priority and the handle of ours, whoever made it.
    pub is_at_our_place: bool,
}

impl Kernel {
    /// Adds the clsact qdisc to an interface. `false`: it, or another qdisc, has this place already;
    /// [`Self::hook_qdiscs`] tells.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn add_clsact(&self, ifindex: Ifindex) -> Result<bool, NetlinkError> {
        let message = RouteNetlinkMessage::NewQueueDiscipline(qdisc(ifindex));
        match self.socket.lock().await.change(message, NLM_F_CREATE | NLM_F_EXCL).await {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.errno() == Some(Errno::EEXIST) => Ok(false),
            Err(refusal) => Err(refused("add the clsact qdisc of", ifindex, refusal)),
        }
    }

    /// The kind of the qdisc in the place of clsact, by interface, whoever made it. An `ingress` qdisc has
    /// that place too, and the same handle, but no hook for packets that leave: for the kernel a filter for
    /// them is one for packets that come in.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn hook_qdiscs(&self) -> Result<BTreeMap<Ifindex, String>, NetlinkError> {
        let mut found = BTreeMap::new();
        let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::with_index(0));
        let mut socket = self.socket.lock().await;
        let dump = socket.dump(request, |object| {
            if let Ok(RouteNetlinkMessage::NewQueueDiscipline(qdisc)) = object
                && qdisc.header.parent == TcHandle::CLSACT
                && let Ok(ifindex) = u32::try_from(qdisc.header.index)
            {
                let kind = qdisc.attributes.into_iter().find_map(|attribute| match attribute {
                    TcAttribute::Kind(kind) => Some(kind),
                    _ => None,
                });
                found.extend(kind.map(|kind| (Ifindex(ifindex), kind)));
            }
        });
        let operation = "list the qdiscs".to_owned();
        dump.await.map_err(|source| NetlinkError::Refused { operation, source })?;
        Ok(found)
    }

    /// Attaches a program by our filter, or puts it into the filter that is there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn attach_filter(
        &self,
        ifindex: Ifindex,
        direction: Direction,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), NetlinkError> {
        let mut message = filter(ifindex, direction);
        let options = [
            TcFilterBpfOption::ProgFd(program.as_raw_fd().cast_unsigned()),
            TcFilterBpfOption::ProgName(name.to_owned()),
            TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
        ];
        message.attributes = vec![
            TcAttribute::Kind("bpf".to_owned()),
            TcAttribute::Options(options.into_iter().map(TcOption::Bpf).collect()),
        ];
        let message = RouteNetlinkMessage::NewTrafficFilter(message);
        let attached = self.socket.lock().await.change(message, NLM_F_CREATE).await;
        attached.map_err(|refusal| {
            refused(&format!("attach the {} filter to", direction.name()), ifindex, refusal)
        })
    }

    /// The filter at the place of ours, whoever made it.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn filter(
        &self,
        ifindex: Ifindex,
        direction: Direction,
    ) -> Result<Option<Filter>, NetlinkError> {
        let filters = self.filters(ifindex, direction).await?;
        Ok(filters.into_iter().find(|filter| filter.is_at_our_place))
    }

    /// All filters of a hook, in the order in which packets meet them.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub async fn filters(
        &self,
        ifindex: Ifindex,
        direction: Direction,
    ) -> Result<Vec<Filter>, NetlinkError> {
        let mut found = Vec::new();
        self.each_filter(ifindex, direction, |message| {
            found.push(message.map(describe).unwrap_or_default());
        })
        .await?;
        Ok(found)
    }

    /// Removes our filter; one that is gone already is fine, and one of others stays. `name` is that
    /// of our program. Tells whether it was there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub async fn detach_filter(
        &self,
        ifindex: Ifindex,
        direction: Direction,
        name: &str,
    ) -> Result<bool, NetlinkError> {
        if self.filter(ifindex, direction).await?.is_none_or(|filter| filter.name != name) {
            return Ok(false);
        }
        let message = RouteNetlinkMessage::DelTrafficFilter(filter(ifindex, direction));
        let removed = unless_gone(self.socket.lock().await.change(message, 0).await);
        removed.map(|()| true).map_err(|refusal| {
            refused(&format!("remove the {} filter of", direction.name()), ifindex, refusal)
        })
    }

    /// Removes an interface's clsact qdisc unless it carries filters. One that is gone already is
    /// fine.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked, or refuses.
    pub async fn remove_unused_clsact(&self, ifindex: Ifindex) -> Result<(), NetlinkError> {
        for direction in Direction::BOTH {
            let mut filters = 0;
            self.each_filter(ifindex, direction, |_| filters += 1).await?;
            if filters > 0 {
                return Ok(());
            }
        }
        let message = RouteNetlinkMessage::DelQueueDiscipline(qdisc(ifindex));
        unless_gone(self.socket.lock().await.change(message, 0).await)
            .map_err(|refusal| refused("remove the clsact qdisc of", ifindex, refusal))
    }

    /// Every filter of a hook, `None` for one that cannot be decoded; without the qdisc, or the
    /// interface, there is none. Of an `ingress` qdisc each hook has the same ones.
    async fn each_filter(
        &self,
        ifindex: Ifindex,
        direction: Direction,
        mut each: impl FnMut(Option<&TcMessage>),
    ) -> Result<(), NetlinkError> {
        let mut message = TcMessage::with_index(index(ifindex));
        message.header.parent = direction.parent();
        let request = RouteNetlinkMessage::GetTrafficFilter(message);
        let mut socket = self.socket.lock().await;
        let dump = socket.dump(request, |object| match &object {
            // The kernel announces a priority's head without a handle even when no filter is behind
            // it.
            Ok(RouteNetlinkMessage::NewTrafficFilter(filter)) => {
                if filter.header.index == index(ifindex) && u32::from(filter.header.handle) != 0 {
                    each(Some(filter));
                }
            }
            Ok(_) => {}
            Err(_) => each(None),
        });
        dump.await.map(drop).map_err(|source| refused("list the filters of", ifindex, source))
    }
}

/// By its kind too: an ingress qdisc has the same handle.
fn qdisc(ifindex: Ifindex) -> TcMessage {
    let mut message = TcMessage::with_index(index(ifindex));
    message.header.handle = CLSACT_HANDLE;
    message.header.parent = TcHandle::CLSACT;
    message.attributes.push(TcAttribute::Kind(CLSACT.to_owned()));
    message
}

fn filter(ifindex: Ifindex, direction: Direction) -> TcMessage {
    let mut message = TcMessage::with_index(index(ifindex));
    message.header.handle = HANDLE;
    message.header.parent = direction.parent();
    message.header.info = u32::from(PRIORITY) << 16 | u32::from((ETH_P_ALL as u16).to_be());
    message
}

fn priority(message: &TcMessage) -> u16 {
    u16::try_from(message.header.info >> 16).unwrap_or_default()
}

fn describe(message: &TcMessage) -> Filter {
    let priority = priority(message);
    let mut filter = Filter {
        priority,
        is_at_our_place: message.header.handle == HANDLE && priority == PRIORITY,
        ..Filter::default()
    };
    for attribute in &message.attributes {
        if let TcAttribute::Kind(kind) = attribute {
            filter.kind.clone_from(kind);
        }
        let TcAttribute::Options(options) = attribute else { continue };
        for option in options {
            match option {
                TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => filter.name.clone_from(name),
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => filter.program = *id,
                _ => {}
            }
        }
    }
    filter
}

fn index(ifindex: Ifindex) -> i32 {
    i32::try_from(ifindex.0).unwrap_or(i32::MAX)
}

fn unless_gone(result: Result<(), Refusal>) -> Result<(), Refusal> {
    match result {
        Err(refusal) if refusal.errno().is_some_and(|errno| GONE.contains(&errno)) => Ok(()),
        other => other,
    }
}

fn refused(what: &str, ifindex: Ifindex, source: Refusal) -> NetlinkError {
    NetlinkError::Refused { operation: format!("{what} interface {ifindex}"), source }
}

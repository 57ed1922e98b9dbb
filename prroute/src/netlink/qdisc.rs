//! The clsact qdisc: it may be somebody else's, so it goes only when nothing is left on it.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcHandle, TcMessage};

use super::{Kernel, NetlinkError};
use crate::state::uplink::Ifindex;

/// `TC_H_CLSACT` with the minors of its two hooks (include/uapi/linux/pkt_sched.h).
const CLSACT: TcHandle = TcHandle { major: 0xffff, minor: 0xfff1 };
const INGRESS: TcHandle = TcHandle { major: 0xffff, minor: 0xfff2 };
const EGRESS: TcHandle = TcHandle { major: 0xffff, minor: 0xfff3 };

impl Kernel {
    /// Removes an interface's clsact qdisc unless it carries filters.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked, or refuses.
    pub async fn remove_unused_clsact(&self, ifindex: Ifindex) -> Result<(), NetlinkError> {
        let mut socket = self.socket.lock().await;
        let index = i32::try_from(ifindex.0).unwrap_or(i32::MAX);
        for hook in [INGRESS, EGRESS] {
            let mut message = TcMessage::with_index(index);
            message.header.parent = hook;
            let mut filters = 0;
            socket
                .dump(RouteNetlinkMessage::GetTrafficFilter(message), |object| {
                    // What cannot be decoded is somebody's all the same.
                    let is_one = object.map_or(true, |object| is_filter_of(&object, index));
                    filters += u32::from(is_one);
                })
                .await
                .map_err(|source| refused("list the filters of", ifindex, source))?;
            if filters > 0 {
                return Ok(());
            }
        }
        let mut message = TcMessage::with_index(index);
        message.header.handle = TcHandle { major: 0xffff, minor: 0 };
        message.header.parent = CLSACT;
        socket
            .change(RouteNetlinkMessage::DelQueueDiscipline(message), 0)
            .await
            .map_err(|source| refused("remove the clsact qdisc of", ifindex, source))
    }
}

/// The kernel announces a priority's head without a handle even when no filter is behind it.
fn is_filter_of(object: &RouteNetlinkMessage, index: i32) -> bool {
    match object {
        RouteNetlinkMessage::NewTrafficFilter(filter) => {
            filter.header.index == index && u32::from(filter.header.handle) != 0
        }
        _ => false,
    }
}

fn refused(what: &str, ifindex: Ifindex, source: super::Refusal) -> NetlinkError {
    NetlinkError::Refused { operation: format!("{what} interface {ifindex}"), source }
}

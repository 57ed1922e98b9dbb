//! The loader hands the shared types to aya as plain bytes.

use crate::address::LocalAddress;
use crate::flow::{Flow, FlowKey4, FlowKey6};
use crate::uplink::{IfindexSlot, OnLink4, OnLink6, UplinkFacts};

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: the type is bytemuck::Pod: repr(C), Copy, without padding, and valid for
            // every bit pattern.
            unsafe impl aya::Pod for $type {}
        )+
    };
}

pod!(LocalAddress, Flow, FlowKey4, FlowKey6, IfindexSlot, OnLink4, OnLink6, UplinkFacts);

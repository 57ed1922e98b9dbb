//! The contestants: hosts that are alike but for what they do about replies.

pub(crate) use prroute_tests::prroute::OwnSource;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) steering: Steering,
    /// Programs that are not prroute's, on the uplinks.
    pub(crate) attached: Attached,
    /// Conntrack follows every connection, for something else than replies.
    pub(crate) tracked: bool,
}

/// What makes replies leave by the uplink that the request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steering {
    Nothing,
    SourceRules,
    /// Marks saved and restored by conntrack, and rules for the marks.
    Marks(Marker),
    Prroute(Prroute),
}

/// What a firewall's marks are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    IptablesLegacy,
    IptablesNft,
    Nftables,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attached {
    Nothing,
    /// Programs that do nothing, where prroute has its own.
    Empty,
    /// A program that sends what leaves by the wrong uplink to the other one's gateway, and does
    /// nothing else.
    Redirect,
}

/// How prroute is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prroute {
    pub(crate) own_source: OwnSource,
    /// Replies go to the router that the request came from.
    pub(crate) last_hop: bool,
    /// With its programs on sockets.
    pub(crate) udp_source: bool,
    /// Its programs are taken off after the start: what routing alone costs.
    pub(crate) rules_alone: bool,
    pub(crate) build: Build,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// `PRROUTE_BIN`.
    UnderTest,
    /// `PRROUTE_BEFORE`.
    Before,
}

const fn plain(name: &'static str, steering: Steering) -> Variant {
    Variant { name, steering, attached: Attached::Nothing, tracked: false }
}

const fn with(name: &'static str, steering: Steering, attached: Attached) -> Variant {
    Variant { attached, ..plain(name, steering) }
}

const fn prroute(name: &'static str, prroute: Prroute) -> Variant {
    plain(name, Steering::Prroute(prroute))
}

const RULES: Prroute = Prroute {
    own_source: OwnSource::Rules,
    last_hop: false,
    udp_source: true,
    rules_alone: false,
    build: Build::UnderTest,
};
const DATAPATH: Prroute = Prroute { own_source: OwnSource::Datapath, ..RULES };

pub(crate) const SOURCE_RULES: Variant = plain("source-rules", Steering::SourceRules);
/// What differs between it and the one before is the error of the method.
pub(crate) const SOURCE_RULES_AGAIN: Variant = plain("source-rules-again", Steering::SourceRules);
pub(crate) const EMPTY_PROGRAMS: Variant =
    with("empty-programs", Steering::SourceRules, Attached::Empty);
pub(crate) const PRROUTE: Variant = prroute("prroute", RULES);
pub(crate) const PRROUTE_BEFORE: Variant =
    prroute("prroute-before", Prroute { build: Build::Before, ..RULES });
pub(crate) const PRROUTE_DATAPATH: Variant = prroute("prroute-datapath", DATAPATH);
pub(crate) const PRROUTE_DATAPATH_BEFORE: Variant =
    prroute("prroute-datapath-before", Prroute { build: Build::Before, ..DATAPATH });
pub(crate) const PRROUTE_LAST_HOP: Variant =
    prroute("prroute-last-hop", Prroute { last_hop: true, ..RULES });
pub(crate) const PRROUTE_DATAPATH_LAST_HOP: Variant =
    prroute("prroute-datapath-last-hop", Prroute { last_hop: true, ..DATAPATH });
pub(crate) const PRROUTE_RULES_ALONE: Variant =
    prroute("prroute-rules-alone", Prroute { rules_alone: true, ..RULES });
pub(crate) const PRROUTE_WITHOUT_SOCKETS: Variant =
    prroute("prroute-without-sockets", Prroute { udp_source: false, ..RULES });
pub(crate) const CONNMARK_LEGACY: Variant =
    plain("connmark-legacy", Steering::Marks(Marker::IptablesLegacy));
pub(crate) const CONNMARK_NFT: Variant =
    plain("connmark-nft", Steering::Marks(Marker::IptablesNft));
pub(crate) const CT_MARK: Variant = plain("ct-mark", Steering::Marks(Marker::Nftables));
pub(crate) const CONNTRACK: Variant =
    Variant { tracked: true, ..plain("conntrack", Steering::SourceRules) };
pub(crate) const NOTHING: Variant = plain("nothing", Steering::Nothing);
pub(crate) const EMPTY_PROGRAMS_WITHOUT_RULES: Variant =
    with("empty-programs-without-rules", Steering::Nothing, Attached::Empty);
pub(crate) const BARE_REDIRECT: Variant =
    with("bare-redirect", Steering::SourceRules, Attached::Redirect);
pub(crate) const BARE_REDIRECT_WITHOUT_RULES: Variant =
    with("bare-redirect-without-rules", Steering::Nothing, Attached::Redirect);

pub(crate) const ALL: [Variant; 19] = [
    SOURCE_RULES,
    SOURCE_RULES_AGAIN,
    EMPTY_PROGRAMS,
    PRROUTE,
    PRROUTE_BEFORE,
    PRROUTE_DATAPATH,
    PRROUTE_DATAPATH_BEFORE,
    PRROUTE_LAST_HOP,
    PRROUTE_DATAPATH_LAST_HOP,
    PRROUTE_RULES_ALONE,
    PRROUTE_WITHOUT_SOCKETS,
    CONNMARK_LEGACY,
    CONNMARK_NFT,
    CT_MARK,
    CONNTRACK,
    NOTHING,
    EMPTY_PROGRAMS_WITHOUT_RULES,
    BARE_REDIRECT,
    BARE_REDIRECT_WITHOUT_RULES,
];

/// prroute as it is used, in either mode, and what it was before a change.
pub(crate) const PRROUTES: [Variant; 4] =
    [PRROUTE, PRROUTE_BEFORE, PRROUTE_DATAPATH, PRROUTE_DATAPATH_BEFORE];

impl Variant {
    pub(crate) fn prroute(self) -> Option<Prroute> {
        match self.steering {
            Steering::Prroute(prroute) => Some(prroute),
            _ => None,
        }
    }

    /// Nobody ever adds a routing rule there: a namespace that once had one looks rules up for
    /// good.
    pub(crate) fn is_without_rules(self) -> bool {
        match self.steering {
            Steering::Nothing => true,
            Steering::Prroute(prroute) => prroute.own_source == OwnSource::Datapath,
            _ => false,
        }
    }
}

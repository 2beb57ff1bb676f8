//! The register of codes of what resolving finds. A code, once given out, keeps its meaning.

/// Declares the codes and the list of them all.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*
        /// Every code of what resolving finds, with its title.
        pub const ALL: &[(&str, &str)] = &[$(($code, $title)),*];
    };
}

codes! {
    UNKNOWN_STACK = "RL0301", "The stack is not declared";
    SITE_UNREAD = "RL0302", "A site could not be read";
    NO_VMID = "RL0303", "A site has no free VMID";
    VMID_HELD = "RL0304", "A pinned VMID is held by another guest";
    VMID_FIXED = "RL0305", "The VMID of an existing guest cannot change";
    NO_ADDRESS = "RL0306", "A network has no free address";
    ADDRESS_HELD = "RL0307", "A pinned address is held by another guest";
    ADDRESS_UNFIT = "RL0308", "An address does not fit its network";
    MAC_HELD = "RL0309", "A pinned MAC address is held by another guest";
    NODE_UNKNOWN = "RL0310", "A node is not on its site";
    NODE_OFFLINE = "RL0311", "A node does not answer";
    IMAGE_MISSING = "RL0312", "An image is on no node that could take the guest";
    STORAGE_UNFIT = "RL0313", "A storage is missing or takes no containers";
    BRIDGE_MISSING = "RL0314", "A bridge is missing";
    NO_ROOM = "RL0315", "No node has room";
    NODE_UNREAD = "RL0316", "What a placement needs could not be read";
    NO_NODE = "RL0317", "No node can take the guest";
    SITE_FIXED = "RL0318", "A guest cannot go to another site";
    TOO_MANY_SLOTS = "RL0319", "A guest has too many NICs or volumes";
    RULE_END = "RL0320", "The other end of a firewall rule has no address";
}

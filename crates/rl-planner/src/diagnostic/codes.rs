//! The register of codes of stack-file findings. A code, once given out, keeps its meaning.

/// Declares the codes and the list of them all.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*
        /// Every code of this crate's stack-file findings with its title.
        pub const ALL: &[(&str, &str)] = &[$(($code, $title)),*];
    };
}

codes! {
    NOT_UTF8 = "RL0101", "The file is not UTF-8 text";
    TOO_LARGE = "RL0102", "The file is too large";
    SYNTAX = "RL0103", "The file is not valid YAML";
    UNKNOWN_KEY = "RL0104", "A key is unknown";
    WRONG_TYPE = "RL0105", "A value has the wrong type";
    MISSING_KEY = "RL0106", "A key is missing";
    DUPLICATE_KEY = "RL0107", "A key is given twice";
    TAB = "RL0108", "A tab is used for indentation";
    BUDGET = "RL0109", "The document expands beyond its limits";
    UNKNOWN_KIND = "RL0110", "The kind of a document is unknown";
    NOTHING_DECLARED = "RL0111", "Nothing is declared";
    YAML_FEATURE = "RL0112", "A YAML feature is not supported";
    KEYS_CONFLICT = "RL0113", "Keys exclude each other or belong together";
    PLAIN_SECRET = "RL0114", "A secret is written into the file";
    INVALID_VALUE = "RL0201", "A value breaks the rule of its kind";
    OUT_OF_LIMITS = "RL0202", "A number or size is out of its limits";
    DUPLICATE_NAME = "RL0203", "Two things have one name";
    UNKNOWN_SITE = "RL0204", "A site is unknown";
    UNKNOWN_NETWORK = "RL0205", "A network is unknown";
    UNKNOWN_IMAGE = "RL0206", "An image is unknown";
    UNKNOWN_STORAGE = "RL0207", "A storage is unknown";
    UNKNOWN_NIC = "RL0208", "A NIC is unknown";
    UNKNOWN_CONTAINER = "RL0209", "A container is unknown";
    UNKNOWN_NODE = "RL0210", "A node is unknown";
    ADDRESS_OUTSIDE = "RL0211", "An address does not fit its subnet";
    GATEWAY_OUTSIDE = "RL0212", "A gateway does not fit its subnet";
    RANGES_OVERLAP = "RL0213", "Address ranges overlap";
    VMID_OUTSIDE = "RL0214", "A VMID lies outside the site's range";
    VMID_TWICE = "RL0215", "Two guests are pinned to one VMID";
    ADDRESS_TWICE = "RL0216", "Two NICs are pinned to one address";
    MAC_TWICE = "RL0217", "Two NICs are pinned to one MAC address";
    HOSTNAME_TWICE = "RL0218", "Two guests have one host name";
    TOO_FEW_ADDRESSES = "RL0219", "A network has too few addresses";
    TOO_FEW_VMIDS = "RL0220", "A site has too few VMIDs";
    TOO_MANY = "RL0221", "There are too many of a thing";
    PATH_TWICE = "RL0222", "Two volumes are mounted at one path";
    CYCLE = "RL0223", "Containers wait for each other";
    PIN_COUNT = "RL0224", "Pinned values do not fit the count";
    NO_ADDRESSES = "RL0225", "A network has no addresses to give";
    NO_STORAGE = "RL0226", "No storage is named";
    ENDPOINT_TWICE = "RL0227", "Two sites have one endpoint";
    UNKNOWN_PROVIDER = "RL0228", "A provider of secrets is unknown";
    UNKNOWN_GROUP = "RL0229", "A security group is unknown";
}

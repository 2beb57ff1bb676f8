//! Patterns of the schema's texts. Each lets through what the parser takes, and as little more as a pattern can say.

/// Name of our own things: a lower-case DNS label that begins with a letter.
pub(super) const NAME: &str = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
/// Name of a network or an image.
pub(super) const KEY: &str = r"^[a-z0-9][a-z0-9._-]{0,62}$";
/// Name of a container: room for `-` and a number.
pub(super) const CONTAINER: &str = r"^[a-z]([a-z0-9-]{0,53}[a-z0-9])?$";
/// Amount of memory or size of a disk.
pub(super) const SIZE: &str = r"^\s*[0-9]{1,12}(\.[0-9]{1,6})?\s*(KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)\s*$";
/// Host name in lower case.
pub(super) const HOST: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";
/// Host name with at least one dot.
pub(super) const PROVIDER: &str = r"^[a-z][a-z0-9-]{0,31}$";
/// Domain name.
pub(super) const FQDN: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$";
/// IPv4 or IPv6 address, roughly.
pub(super) const ADDRESS: &str = r"^[0-9a-fA-F:.]{2,45}$";
/// One address, or the first and the last of a range.
pub(super) const RANGE: &str = r"^[0-9a-fA-F:.]{2,45}(\s*-\s*[0-9a-fA-F:.]{2,45})?$";
/// Network with prefix length.
pub(super) const CIDR: &str = r"^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$";
/// MAC address.
pub(super) const MAC: &str = r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$";
/// Interface name.
pub(super) const IFACE: &str = r"^[A-Za-z0-9._-]{1,15}$";
/// Bridge or VNet.
pub(super) const BRIDGE: &str = r"^[A-Za-z][A-Za-z0-9._-]{0,14}$";
/// Storage of Proxmox.
pub(super) const STORAGE: &str = r"^[A-Za-z][A-Za-z0-9._-]{0,98}[A-Za-z0-9]$";
/// Node of Proxmox.
pub(super) const NODE: &str = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$";
/// Template as a volume id.
pub(super) const TEMPLATE: &str = r"^[A-Za-z][A-Za-z0-9._-]{0,98}[A-Za-z0-9]:vztmpl/[^\s,]+$";
/// Image of the site, or template as a volume id.
pub(super) const IMAGE: &str = r"^([a-z0-9][a-z0-9._-]{0,62}|[A-Za-z][A-Za-z0-9._-]{0,98}[A-Za-z0-9]:vztmpl/[^\s,]+)$";
/// First and last VMID.
pub(super) const VMIDS: &str = r"^[1-9][0-9]{2,8}\s*-\s*[1-9][0-9]{2,8}$";
/// API address.
pub(super) const ENDPOINT: &str = r"^https://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{0,5})?/?$";
/// SHA-256 fingerprint.
pub(super) const FINGERPRINT: &str = r"^([0-9a-fA-F]:*){64}$";
/// Environment variable.
pub(super) const VARIABLE: &str = r"^[A-Za-z_][A-Za-z0-9_]*$";
/// Where a secret comes from: a name, or an entry of a provider.
pub(super) const SECRET_SOURCE: &str =
    r"^([a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*|[a-z][a-z0-9-]{0,31}:[^#]+(#.+)?)$";
/// Name of a secret.
pub(super) const SECRET: &str = r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$";
/// Absolute path in a guest.
pub(super) const PATH: &str = r"^(/[^/,=]+)+$";
/// Tag of Proxmox.
pub(super) const TAG: &str = r"^[a-z0-9_][a-z0-9_+.-]*$";
/// Pool of Proxmox.
pub(super) const POOL: &str = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$";
/// Time zone.
pub(super) const ZONE: &str = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*$";
/// Public SSH key.
pub(super) const SSH_KEY: &str = r"^\s*(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ +[A-Za-z0-9+/=]+";
/// File permissions in octal.
pub(super) const MODE: &str = r"^0*[0-7]{3}$";
/// User, or user and group.
pub(super) const OWNER: &str = r"^[a-z_][a-z0-9_-]{0,31}(:[a-z_][a-z0-9_-]{0,31})?$";
/// Container and NIC.
pub(super) const TARGET: &str = r"^[a-z][a-z0-9-]*\.[A-Za-z0-9._-]{1,15}$";
/// Name in a zone.
pub(super) const RECORD: &str = r"^(@|\*|(\*\.)?[a-zA-Z0-9_-]{1,63}(\.[a-zA-Z0-9_-]{1,63})*)$";
/// Alias or IP set of the firewall.
pub(super) const FIREWALL_NAME: &str = r"^[a-z][a-z0-9_-]{1,63}$";
/// Security group.
pub(super) const GROUP_NAME: &str = r"^[a-z][a-z0-9_-]{1,17}$";

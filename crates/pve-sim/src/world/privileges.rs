//! The privileges and built-in roles of PVE 9.

/// What only Administrator holds.
const ADMIN_ONLY: &[&str] = &[
    "Mapping.Modify",
    "Permissions.Modify",
    "Realm.Allocate",
    "Sys.AccessNetwork",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
];

const DATASTORE: &[&str] =
    &["Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit"];
const MAPPING_USER: &[&str] = &["Mapping.Audit", "Mapping.Use"];
const POOL: &[&str] = &["Pool.Allocate", "Pool.Audit"];
const SDN: &[&str] = &["SDN.Allocate", "SDN.Audit", "SDN.Use"];
const SYS_ADMIN: &[&str] = &["Sys.Audit", "Sys.Console", "Sys.Syslog"];
const USER_ADMIN: &[&str] = &["Group.Allocate", "Realm.AllocateUser", "User.Modify"];
const VM_USER: &[&str] = &[
    "VM.Audit",
    "VM.Backup",
    "VM.Config.CDROM",
    "VM.Config.Cloudinit",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.PowerMgmt",
];
const VM_ADMIN_ONLY: &[&str] = &[
    "VM.Allocate",
    "VM.Clone",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.GuestAgent.Unrestricted",
    "VM.Migrate",
    "VM.Replicate",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];
const AUDITOR: &[&str] =
    &["Datastore.Audit", "Mapping.Audit", "Pool.Audit", "SDN.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit"];

/// The built-in roles; NoAccess is the one with nothing in it.
const ROLES: &[(&str, &[&[&str]])] = &[
    ("Administrator", &[ADMIN_ONLY, DATASTORE, MAPPING_USER, POOL, SDN, SYS_ADMIN, USER_ADMIN, VM_USER, VM_ADMIN_ONLY]),
    ("NoAccess", &[]),
    ("PVEAdmin", &[DATASTORE, MAPPING_USER, POOL, SDN, SYS_ADMIN, USER_ADMIN, VM_USER, VM_ADMIN_ONLY]),
    ("PVEAuditor", &[AUDITOR]),
    ("PVEDatastoreAdmin", &[DATASTORE]),
    ("PVEDatastoreUser", &[&["Datastore.AllocateSpace", "Datastore.Audit"]]),
    ("PVEMappingAdmin", &[&["Mapping.Audit", "Mapping.Modify", "Mapping.Use"]]),
    ("PVEMappingUser", &[MAPPING_USER]),
    ("PVEPoolAdmin", &[POOL]),
    ("PVEPoolUser", &[&["Pool.Audit"]]),
    ("PVESDNAdmin", &[SDN]),
    ("PVESDNUser", &[&["SDN.Audit", "SDN.Use"]]),
    ("PVESysAdmin", &[SYS_ADMIN]),
    ("PVETemplateUser", &[&["VM.Audit", "VM.Clone"]]),
    ("PVEUserAdmin", &[USER_ADMIN]),
    ("PVEVMAdmin", &[VM_USER, VM_ADMIN_ONLY]),
    ("PVEVMUser", &[VM_USER]),
];

/// Privileges of a built-in role.
pub(crate) fn builtin_role(name: &str) -> Option<impl Iterator<Item = &'static str>> {
    ROLES.iter().find(|(role, _)| *role == name).map(|(_, sets)| sets.iter().flat_map(|s| s.iter().copied()))
}

/// Names of the built-in roles.
pub(crate) fn builtin_roles() -> impl Iterator<Item = &'static str> {
    ROLES.iter().map(|(name, _)| *name)
}

/// Every privilege there is.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    ROLES[0].1.iter().flat_map(|s| s.iter().copied())
}

/// True for a privilege of this PVE version.
pub(crate) fn is_known(name: &str) -> bool {
    all().any(|p| p == name)
}

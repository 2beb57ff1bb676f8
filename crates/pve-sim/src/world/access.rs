//! Users, groups, roles, tokens and the access control list, and what they allow.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::call::Identity;
use crate::api::error::{ApiError, ApiResult};
use crate::world::privileges;

#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    pub(crate) enable: bool,
    /// Seconds since 1970; 0 never.
    pub(crate) expire: i64,
    pub(crate) password: Option<String>,
    /// comment, email, firstname, lastname, keys.
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) tokens: BTreeMap<String, Token>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Token {
    pub(crate) secret: String,
    pub(crate) privsep: bool,
    pub(crate) expire: i64,
    pub(crate) comment: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) comment: Option<String>,
    pub(crate) members: BTreeSet<String>,
}

/// Whom an entry of the list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Group,
    Token,
    User,
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Token => "token",
            Self::User => "user",
        }
    }
}

/// Role name to whether it is handed down to paths below.
type Roles = BTreeMap<String, bool>;
/// Privilege to whether it is handed down to paths below.
pub(crate) type Privs = BTreeMap<String, bool>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) groups: BTreeMap<String, Group>,
    /// Roles made by people; the built-in ones are in [`privileges`].
    pub(crate) roles: BTreeMap<String, BTreeSet<String>>,
    /// Path, subject, name, role: handed down or not.
    pub(crate) acl: BTreeMap<String, BTreeMap<(Subject, String), Roles>>,
    /// Which pool a guest is in.
    pub(crate) guest_pool: BTreeMap<u32, String>,
    /// Which pools a storage is in.
    pub(crate) storage_pools: BTreeMap<String, BTreeSet<String>>,
    /// Realms: name to type.
    pub(crate) realms: BTreeMap<String, String>,
}

/// A path as the list stores it; `None` when it has letters no path has.
pub(crate) fn normalize_path(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let ok = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    parts.iter().all(|p| p.chars().all(ok)).then(|| format!("/{}", parts.join("/")))
}

/// True for the paths an entry of the list may have (pve-access-control's own list).
pub(crate) fn is_acl_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        [] => true,
        ["access"] | ["access", "groups" | "realm"] | ["access", "groups" | "realm", _] => true,
        ["mapping"] | ["mapping", "dir" | "hwrng" | "notifications" | "pci" | "usb"] | ["mapping", _, _] => true,
        ["nodes"] | ["nodes", _] | ["storage"] | ["storage", _] | ["vms"] => true,
        ["pool", rest @ ..] => rest.len() <= 3,
        ["vms", vmid] => crate::api::format::is_vmid(vmid),
        ["sdn"]
        | ["sdn", "controllers" | "dns" | "fabrics" | "ipams"]
        | ["sdn", "controllers" | "dns" | "fabrics" | "ipams", _] => true,
        ["sdn", "zones", rest @ ..] => rest.len() <= 3,
        _ => false,
    }
}

impl Access {
    /// Privileges of a role, `None` when there is no such role.
    pub(crate) fn role(&self, name: &str) -> Option<BTreeSet<String>> {
        if let Some(builtin) = privileges::builtin_role(name) {
            return Some(builtin.map(str::to_owned).collect());
        }
        self.roles.get(name).cloned()
    }

    /// What an identity may do on a path, tokens cut down to what both user and token may.
    pub(crate) fn permissions(&self, who: &Identity, path: &str) -> Privs {
        if who.user == "root@pam" && !self.is_separated(who) {
            return privileges::all().map(|p| (p.to_owned(), true)).collect();
        }
        let owner = Identity { user: who.user.clone(), token: None };
        let Some(token) = &who.token else { return self.own_permissions(&owner, path) };
        let Some(entry) = self.users.get(&who.user).and_then(|u| u.tokens.get(token)) else { return Privs::new() };
        let user_privs = self.permissions(&owner, path);
        if !entry.privsep {
            return user_privs;
        }
        let token_privs = self.own_permissions(who, path);
        token_privs.into_iter().filter_map(|(p, down)| user_privs.get(&p).map(|u| (p, down && *u))).collect()
    }

    fn is_separated(&self, who: &Identity) -> bool {
        let Some(token) = &who.token else { return false };
        let entry = self.users.get(&who.user).and_then(|u| u.tokens.get(token));
        entry.is_none_or(|t| t.privsep)
    }

    /// The list alone, without looking at whose token it is; pools count for their members.
    fn own_permissions(&self, who: &Identity, path: &str) -> Privs {
        let mut privs = Privs::new();
        let mut add = |roles: &Roles| {
            for (role, down) in roles {
                for privilege in self.role(role).unwrap_or_default() {
                    let slot = privs.entry(privilege).or_insert(*down);
                    *slot = *slot || *down;
                }
            }
        };
        add(&self.roles_on(who, path));
        for pool in self.pools_of(path) {
            add(&self.roles_on(who, &format!("/pool/{pool}")));
        }
        privs
    }

    fn pools_of(&self, path: &str) -> Vec<&str> {
        if let Some(vmid) = path.strip_prefix("/vms/").and_then(|v| v.parse().ok()) {
            return self.guest_pool.get(&vmid).map(String::as_str).into_iter().collect();
        }
        match path.strip_prefix("/storage/") {
            Some(storage) => self.storage_pools.get(storage).into_iter().flatten().map(String::as_str).collect(),
            None => Vec::new(),
        }
    }

    /// The roles of the entry nearest to a path; user entries win over those of groups.
    fn roles_on(&self, who: &Identity, path: &str) -> Roles {
        let mut roles = Roles::new();
        for at in ancestors(path) {
            let Some(entries) = self.acl.get(&at) else { continue };
            let is_final = at == path;
            let counts = |found: &Roles| -> Roles {
                found.iter().filter(|(_, down)| is_final || **down).map(|(r, d)| (r.clone(), *d)).collect()
            };
            let subject = if who.token.is_some() { Subject::Token } else { Subject::User };
            if let Some(found) = entries.get(&(subject, who.authuser())).map(counts).filter(|r| !r.is_empty()) {
                roles = found;
                continue;
            }
            if who.token.is_some() {
                continue;
            }
            let mut of_groups = Roles::new();
            for (name, _) in self.groups.iter().filter(|(_, g)| g.members.contains(&who.user)) {
                of_groups.extend(entries.get(&(Subject::Group, name.clone())).map(counts).unwrap_or_default());
            }
            if !of_groups.is_empty() {
                roles = of_groups;
            }
        }
        if roles.contains_key("NoAccess") { Roles::new() } else { roles }
    }

    /// Checks privileges on a path; with `any` one of them is enough.
    pub(crate) fn check(&self, who: &Identity, path: &str, privs: &[&str], any: bool) -> ApiResult<()> {
        if who.user == "root@pam" && !self.is_separated(who) {
            return Ok(());
        }
        let held = self.permissions(who, path);
        if any {
            return if privs.iter().any(|p| held.contains_key(*p)) {
                Ok(())
            } else {
                Err(ApiError::perm(format!("{path}, {}", privs.join("|"))))
            };
        }
        match privs.iter().find(|p| !held.contains_key(**p)) {
            Some(missing) => Err(ApiError::perm(format!("{path}, {missing}"))),
            None => Ok(()),
        }
    }

    /// The same for a path that cannot exist; even root's tokens fail there.
    pub(crate) fn check_nowhere(&self, _who: &Identity, privs: &[&str], any: bool) -> ApiResult<()> {
        Err(ApiError::perm(format!(", {}", privs.join(if any { "|" } else { ", " }))))
    }

    /// May the caller change the list on a path?
    pub(crate) fn check_modify(&self, who: &Identity, path: &str) -> ApiResult<()> {
        let mut privs = vec!["Permissions.Modify"];
        for (prefix, privilege) in
            [("/storage/", "Datastore.Allocate"), ("/vms/", "VM.Allocate"), ("/pool/", "Pool.Allocate")]
        {
            if path.starts_with(prefix) && path.len() > prefix.len() {
                privs.push(privilege);
            }
        }
        self.check(who, path, &privs, true)
    }

    /// Takes all entries about one user, token or group out of the list.
    pub(crate) fn forget(&mut self, subject: Subject, name: &str) {
        self.forget_where(|key, _| *key == (subject, name.to_owned()));
    }

    /// Takes one role out of the list.
    pub(crate) fn forget_role(&mut self, role: &str) {
        for entries in self.acl.values_mut() {
            for roles in entries.values_mut() {
                roles.remove(role);
            }
        }
        self.forget_where(|_, roles| roles.is_empty());
    }

    fn forget_where(&mut self, gone: impl Fn(&(Subject, String), &Roles) -> bool) {
        for entries in self.acl.values_mut() {
            entries.retain(|key, roles| !gone(key, roles));
        }
        self.acl.retain(|_, entries| !entries.is_empty());
    }
}

/// `/`, `/a`, `/a/b` for `/a/b`.
pub(crate) fn ancestors(path: &str) -> Vec<String> {
    let mut out = vec!["/".to_owned()];
    let mut at = String::new();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        at = format!("{at}/{part}");
        out.push(at.clone());
    }
    out
}

#[cfg(test)]
mod tests;

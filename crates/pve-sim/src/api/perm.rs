//! Who may call an endpoint: the published permission checks in a compact notation.
//!
//! `all` (anyone logged in), `world` (anyone), `root` (root@pam itself), `/path Priv+Priv` (all of them),
//! `/path Priv|Priv` (any of them; a trailing bar with one), ` if:param` (only when that parameter is given),
//! `userid-group Priv|Priv [create|update]`, `userid-param self` or a privilege, `perm-modify {path}`,
//! and `and(x; y)`, `or(x; y)`.

use crate::api::call::{Args, Identity};
use crate::api::error::{ApiError, ApiResult};
use crate::world::access::{Access, normalize_path};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Perm {
    All,
    World,
    Root,
    Path { path: String, privs: Vec<String>, any: bool, only_with: Option<String> },
    UserGroup { privs: Vec<String>, groups: Option<String> },
    UserParam(String),
    Modify(String),
    And(Vec<Perm>),
    Or(Vec<Perm>),
}

impl Perm {
    /// Reads the notation.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "all" => return Ok(Self::All),
            "world" => return Ok(Self::World),
            "root" => return Ok(Self::Root),
            _ => {}
        }
        if let Some(inner) = text.strip_prefix("and(").and_then(|t| t.strip_suffix(')')) {
            return Ok(Self::And(split_top(inner).into_iter().map(Self::parse).collect::<Result<_, _>>()?));
        }
        if let Some(inner) = text.strip_prefix("or(").and_then(|t| t.strip_suffix(')')) {
            return Ok(Self::Or(split_top(inner).into_iter().map(Self::parse).collect::<Result<_, _>>()?));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["userid-group", privs] => Ok(Self::UserGroup { privs: split_privs(privs).0, groups: None }),
            ["userid-group", privs, groups] => {
                Ok(Self::UserGroup { privs: split_privs(privs).0, groups: Some((*groups).to_owned()) })
            }
            ["userid-param", what] => Ok(Self::UserParam((*what).to_owned())),
            ["perm-modify", path] => Ok(Self::Modify((*path).to_owned())),
            [path, privs] if path.starts_with('/') => Ok(Self::path(path, privs, None)),
            [path, privs, cond] if path.starts_with('/') && cond.starts_with("if:") => {
                Ok(Self::path(path, privs, Some(cond[3..].to_owned())))
            }
            _ => Err(format!("cannot read permission '{text}'")),
        }
    }

    fn path(path: &str, privs: &str, only_with: Option<String>) -> Self {
        let (privs, any) = split_privs(privs);
        Self::Path { path: path.to_owned(), privs, any, only_with }
    }

    /// Checks the caller; root@pam passes everything but [`Perm::World`] needs nobody.
    pub(crate) fn check(&self, access: &Access, who: &Identity, args: &Args) -> ApiResult<()> {
        match self {
            Self::All | Self::World => Ok(()),
            _ if who.is_root() => Ok(()),
            Self::Root => Err(ApiError::perm("user != root@pam")),
            _ => self.exec(access, who, args),
        }
    }

    fn exec(&self, access: &Access, who: &Identity, args: &Args) -> ApiResult<()> {
        match self {
            Self::All | Self::World => Ok(()),
            Self::Root => Err(ApiError::perm("user != root@pam")),
            Self::And(checks) => checks.iter().try_for_each(|c| c.exec(access, who, args)),
            Self::Or(checks) => {
                if checks.iter().any(|c| c.exec(access, who, args).is_ok()) {
                    Ok(())
                } else {
                    Err(ApiError::perm(""))
                }
            }
            Self::Path { path, privs, any, only_with } => {
                if only_with.as_ref().is_some_and(|name| !args.has(name)) {
                    return Err(ApiError::perm(""));
                }
                let privs: Vec<&str> = privs.iter().map(String::as_str).collect();
                match normalize_path(&fill(path, args)) {
                    Some(path) => access.check(who, &path, &privs, *any),
                    None => access.check_nowhere(who, &privs, *any),
                }
            }
            Self::Modify(path) => match normalize_path(&fill(path, args)) {
                Some(path) => access.check_modify(who, &path),
                None => Ok(()),
            },
            Self::UserGroup { privs, groups } => check_user_group(access, who, args, privs, groups.as_deref()),
            Self::UserParam(what) => check_user_param(access, who, args, what),
        }
    }
}

fn split_privs(text: &str) -> (Vec<String>, bool) {
    let any = text.contains('|');
    let privs = text.split(['|', '+']).filter(|p| !p.is_empty()).map(str::to_owned).collect();
    (privs, any)
}

/// Splits at semicolons that stand outside brackets.
fn split_top(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ';' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Puts parameters into a path; a parameter that is no text makes a path that does not exist.
fn fill(template: &str, args: &Args) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        match args.0.get(name) {
            Some(crate::api::call::Arg::Text(text)) => out.push_str(text),
            Some(crate::api::call::Arg::Null) | None => {}
            Some(_) => out.push_str("(reference)"),
        }
        rest = tail;
    }
    out + rest
}

fn check_user_group(
    access: &Access,
    who: &Identity,
    args: &Args,
    privs: &[String],
    groups: Option<&str>,
) -> ApiResult<()> {
    let userid = args.must("userid");
    let must_exist = groups != Some("create");
    if must_exist && !access.users.contains_key(userid) {
        return Err(ApiError::die(format!("no such user ('{userid}')")));
    }
    let privs: Vec<&str> = privs.iter().map(String::as_str).collect();
    if access.check(who, "/access/groups", &privs, true).is_ok() {
        return Ok(());
    }
    let held = |group: &str| access.check(who, &format!("/access/groups/{group}"), &privs, true).is_ok();
    if groups.is_some() {
        let named: Vec<&str> = crate::api::format::split_list(args.must("groups")).collect();
        let wanted = privs.join("|");
        if named.is_empty() {
            return Err(ApiError::perm(format!("/access/groups, {wanted}")));
        }
        if let Some(group) = named.iter().find(|g| !held(g)) {
            return Err(ApiError::perm(format!("/access/groups/{group}, {wanted}")));
        }
    }
    let in_held_group = || access.groups.iter().any(|(name, g)| g.members.contains(userid) && held(name));
    if must_exist && !in_held_group() {
        return Err(ApiError::perm(""));
    }
    Ok(())
}

fn check_user_param(access: &Access, who: &Identity, args: &Args, what: &str) -> ApiResult<()> {
    let userid = args.must("userid");
    if what == "self" {
        let exists = access.users.contains_key(userid);
        return if exists && who.authuser() == userid { Ok(()) } else { Err(ApiError::perm("")) };
    }
    crate::api::format::check("pve-userid", userid, "userid").map_err(|why| ApiError::die(why.trim_end()))?;
    let realm = userid.rsplit_once('@').map_or("", |(_, realm)| realm);
    access.check(who, &format!("/access/realm/{realm}"), &[what], false)
}

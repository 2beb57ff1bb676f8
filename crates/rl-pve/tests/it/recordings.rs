//! What a genuine Proxmox VE 9.1.6 answered: every answer of a call we make is read, every refusal understood.

use std::collections::BTreeMap;

use rl_pve::ErrorKind;
use serde_json::Value;

use crate::samples::{Built, every_request};
use crate::shared::{folder, lines};

/// One recorded exchange of a call we make.
struct Exchange {
    name: String,
    call: usize,
    status: u16,
    reason: String,
    body: Vec<u8>,
}

fn same_path(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(path).all(|(t, p)| t.starts_with('{') || *t == p)
}

fn body_of(line: &Value) -> Vec<u8> {
    match (&line["response"], line["raw"].as_str()) {
        (Value::Null, raw) => raw.unwrap_or_default().as_bytes().to_vec(),
        (response, _) => response.to_string().into_bytes(),
    }
}

fn exchanges(calls: &[Built]) -> Option<Vec<Exchange>> {
    let folder = folder("pve-recordings")?;
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut out = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        for line in lines(&file) {
            // Probes speak of connections; another prefix (`extjs`) is another wrapping, which we never ask for.
            // A download is a file, not an answer; status 0 is a connection that was closed.
            let download = line["query"].get("download").is_some() || line["status"] == 0;
            if line.get("probe").is_some() || line.get("prefix").is_some() || download {
                continue;
            }
            let (Some(method), Some(path)) = (line["method"].as_str(), line["path"].as_str()) else { continue };
            let call = calls.iter().position(|c| c.method.as_str() == method && same_path(c.template, path));
            if let Some(call) = call {
                out.push(Exchange {
                    name: format!("{name} step {} {method} {path}", line["step"]),
                    call,
                    status: u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
                    reason: line["reason"].as_str().unwrap_or_default().to_owned(),
                    body: body_of(&line),
                });
            }
        }
    }
    Some(out)
}

#[test]
fn every_recorded_answer_is_read() {
    let calls = every_request();
    let Some(exchanges) = exchanges(&calls) else { return };
    let mut wrong = Vec::new();
    let mut read = 0;
    for exchange in exchanges.iter().filter(|exchange| exchange.status == 200) {
        match (calls[exchange.call].decode)(&exchange.body) {
            Ok(()) => read += 1,
            Err(error) => wrong.push(format!("{}: {error}", exchange.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 600, "only {read} answers were there to read");
}

fn kind_name(kind: &ErrorKind) -> String {
    let text = format!("{kind:?}");
    text.split(['(', '{', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn every_recorded_refusal_is_understood() {
    let calls = every_request();
    let Some(exchanges) = exchanges(&calls) else { return };
    let digits = regex::Regex::new(r"\d+").unwrap();
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|exchange| exchange.status != 200) {
        let error = (calls[exchange.call].refuse)(exchange.status, &exchange.reason, &exchange.body);
        assert!(!error.may_have_happened(), "{}: {error}", exchange.name);
        let reason = digits.replace_all(&exchange.reason, "N").chars().take(90).collect::<String>();
        let list = kinds.entry(kind_name(error.kind())).or_default();
        let line = format!("{} {reason}", exchange.status);
        if !list.contains(&line) {
            list.push(line);
        }
    }
    for list in kinds.values_mut() {
        list.sort();
    }
    let shown: Vec<String> = kinds.iter().map(|(kind, list)| format!("{kind}\n  {}", list.join("\n  "))).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    AlreadyExists
      400 Parameter verification failed.
      500 CT N already exists on node 'pveN'
      500 unable to create CT N - CT N already exists on node 'pveN'
    AlreadyRunning
      500 CT N already running
    BadParameters
      400 Parameter verification failed.
    DigestMismatch
      500 detected modified configuration - file changed by other user? Try again.
    DoesNotExist
      500 Configuration file 'nodes/pveN/lxc/N.conf' does not exist
      500 Configuration file 'nodes/pveN/qemu-server/N.conf' does not exist
      500 could not find CT N
    Forbidden
      403 Permission check failed
      403 Permission check failed (/, Sys.Audit)
      403 Permission check failed (/, Sys.Modify)
      403 Permission check failed (/access, Sys.Audit)
      403 Permission check failed (/nodes/pveN, Sys.Audit)
      403 Permission check failed (/nodes/pveN, Sys.Modify)
      403 Permission check failed (/storage/btr, Datastore.AllocateSpace)
      403 Permission check failed (/storage/btr, Datastore.Audit|Datastore.AllocateSpace)
      403 Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)
      403 Permission check failed (/vms/N, VM.Allocate)
      403 Permission check failed (/vms/N, VM.Audit)
      403 Permission check failed (/vms/N, VM.Clone)
      403 Permission check failed (/vms/N, VM.Config.Disk)
      403 Permission check failed (/vms/N, VM.Config.Disk|VM.Config.CPU|VM.Config.Memory|VM.Config.N
      403 Permission check failed (/vms/N, VM.Migrate)
      403 Permission check failed (/vms/N, VM.PowerMgmt)
      403 Permission check failed (/vms/N, VM.Snapshot)
      403 Permission check failed (/vms/N, VM.Snapshot|VM.Snapshot.Rollback)
      403 Permission check failed (URI '/access/ticket' not available with API token, need proper ti
      403 Permission check failed (changing feature flags (except nesting) is only allowed for root@
      403 Permission check failed (changing the hookscript is only allowed for root@pam)
      403 Permission check failed (mount point type bind is only allowed for root@pam)
      403 Permission check failed (pool 'nosuchpool' does not exist)
    Locked
      500 CT is locked (backup)
      500 CT is locked (create)
      500 CT is locked (disk)
    NoSuchTask
      400 Parameter verification failed.
    NotFound
      500 bridge 'nosuchbr' does not exist
      500 hostname lookup 'nosuchnode' failed - failed to get address info for: nosuchnode: Name or 
      500 no such cluster node 'nosuchnode'
      500 no such token 'nosuch' for user 'recN@pve'
      500 no such user ('nobody@pve')
      500 no such user ('recN@pve')
      500 pool 'nosuch' does not exist
      500 snapshot 'nosuch' does not exist
      500 storage 'nosuch' does not exist
    NotImplemented
      501 Unexpected content for method 'GET'
    NotRunning
      500 CT N not running
      500 VM N not running
    Protected
      500 can't remove CT N - protection mode enabled
      500 can't update CT N drive 'mpN' - protection mode enabled
      500 can't update CT N drive 'rootfs' - protection mode enabled
    SameSize
      500 disk is already at specified size
    Server
      500 Cannot move to/from 'rootfs'
      500 Only root can pass arbitrary filesystem paths. at /usr/share/perlN/PVE/Storage.pm line N.
      500 SSH public key validation error
      500 can't overwrite running container
      500 format error
      500 no options specified
      500 no such IPSet 'none'
      500 no such security group 'nosuch'
      500 parameter 'storage' not allowed for linked clones
      500 storage 'recdir' is disabled
      500 unable to delete required option 'rootfs'
      500 unable to modify read-only option: 'unprivileged'
      500 unable to shrink disk size
      500 unable to use snapshot name 'current' (reserved name)
      500 unable to use volume local:backup/vzdump-lxc-N-N_N_N-N_N_N.tar.zst - content type needs to
      500 unable to use volume local:iso/x.iso - content type needs to be 'vztmpl'
      500 unable to use volume local:vztmpl/debian-N-standard_N.N-N_amdN.tar.zst - content type need
      500 update pools failed: VM N belongs already to pool 'recpool' and 'allow-move' is not set
      500 you can't convert a template to a template
    StillRunning
      500 Full clone of a running container is only possible from a snapshot
      500 cannot move volumes of a running container
      500 unable to destroy CT N - container is running
      500 you can't convert a CT to template if the CT is running
    Unauthorized
      401 Authentication failed!
      401 No ticket
      401 authentication failure
    "#);
}

/// Releases before 8.4 have no `message` in the body: the reason phrase alone must do.
#[test]
fn the_reason_phrase_alone_gives_the_same_kind() {
    let calls = every_request();
    let Some(exchanges) = exchanges(&calls) else { return };
    for exchange in exchanges.iter().filter(|exchange| exchange.status != 200) {
        let mut body: Value = serde_json::from_slice(&exchange.body).unwrap_or(Value::Null);
        if let Some(body) = body.as_object_mut() {
            body.remove("message");
        }
        let refuse = &calls[exchange.call].refuse;
        let whole = refuse(exchange.status, &exchange.reason, &exchange.body);
        let cut = refuse(exchange.status, &exchange.reason, body.to_string().as_bytes());
        assert_eq!(whole.kind(), cut.kind(), "{}", exchange.name);
    }
}

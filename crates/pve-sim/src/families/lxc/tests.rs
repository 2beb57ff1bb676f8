use super::*;
use crate::world::config::{Config, Keys, Mount, mounts_of};

#[test]
fn new_volumes_are_told_from_existing_ones() {
    assert_eq!(new_disk("local:4"), Some(("local", 4.0)));
    assert_eq!(new_disk("local:0.05"), Some(("local", 0.05)));
    for existing in ["local:100/vm-100-disk-0.raw", "local:", "/mnt", "garbage", "local:4G", "local:4."] {
        assert_eq!(new_disk(existing), None, "{existing}");
    }
    assert_eq!(gigabytes(0.5), 512 << 20);
}

#[test]
fn rootfs_comes_first_and_mounts_keep_their_kind() {
    let keys = Keys::from([
        ("mp0".to_owned(), "/srv,mp=/data".to_owned()),
        ("rootfs".to_owned(), "local:1/vm-1-disk-0.raw,size=1G".to_owned()),
    ]);
    let mounts = mounts_of(&keys);
    assert_eq!(
        mounts.iter().map(|(k, m)| (k.as_str(), m.kind())).collect::<Vec<_>>(),
        [("rootfs", "volume"), ("mp0", "bind")]
    );
    assert_eq!(mounts[0].1.size(), Some(1 << 30));
}

#[test]
fn the_digest_follows_every_change() {
    let mut config = Config::default();
    let empty = config.digest();
    config.keys.insert("memory".to_owned(), "512".to_owned());
    let set = config.digest();
    config.pending.set.insert("memory".to_owned(), "600".to_owned());
    assert!(empty != set && set != config.digest());
    assert_eq!(empty, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

#[test]
fn an_unused_volume_is_kept_once() {
    let mut config = Config::default();
    for volume in ["local:1/a.raw", "local:1/a.raw", "local:1/b.raw", "/bind"] {
        config.add_unused(volume);
    }
    let kept: Vec<&str> = config.keys.values().map(String::as_str).collect();
    assert_eq!(kept, ["local:1/a.raw", "local:1/b.raw"]);
    assert!(Mount::parse("mp0", "local:1").is_err(), "a mount point needs a path");
}

#![allow(clippy::unwrap_used)]
use rl_model::{ControllerId, GuestId, Stamp};

use super::*;

fn target() -> Target {
    Target {
        vmid: "101".parse().unwrap(),
        stamp: Stamp {
            guest: GuestId::from_bits(7),
            stack: "shop".parse().unwrap(),
            name: "web-1".parse().unwrap(),
            controller: ControllerId::from_bits(9),
        },
        hostnames: vec!["web-1".to_owned()],
        net0: vec!["BC:24:11:00:00:01".parse().unwrap()],
    }
}

/// What `pct config` prints for the guest.
fn printed(target: &Target) -> String {
    let notes = target.stamp.description("line one: 50%").replace('%', "%25").replace(':', "%3A").replace('\n', "%0A");
    format!(
        "arch: amd64\ndescription: {notes}\nhostname: web-1\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,type=veth\ntags: {};web\n",
        target.stamp.tag()
    )
}

#[test]
fn the_guest_itself_is_known() {
    let target = target();
    let keys = parse(&printed(&target));
    assert_eq!(Stamp::notes_of(&keys["description"]), "line one: 50%");
    assert_eq!(difference(&target, &keys), None);
}

/// Each part of the identity alone makes it another guest.
#[test]
fn any_difference_is_found() {
    let target = target();
    let other = Stamp { guest: GuestId::from_bits(8), ..target.stamp.clone() };
    let foreign = Stamp { controller: ControllerId::from_bits(1), ..target.stamp.clone() };
    let tag = target.stamp.tag().to_string();
    let cases: [(&str, &str, &str); 8] = [
        ("description", "", "bears no stamp"),
        ("description", &other.description(""), "another guest"),
        ("description", &foreign.description(""), "another RapidLaunch installation"),
        ("tags", "web", "not the tag"),
        ("tags", &format!("{tag}x"), "not the tag"),
        ("hostname", "web-2", "host name"),
        ("net0", "name=eth0,hwaddr=BC:24:11:00:00:02", "looks like a clone"),
        ("net0", "", "no net0"),
    ];
    for (key, value, said) in cases {
        let mut keys = parse(&printed(&target));
        keys.insert(key.to_owned(), value.to_owned());
        let how = difference(&target, &keys).unwrap_or_default();
        assert!(how.contains(said), "{key}={value}: {how}");
    }
}

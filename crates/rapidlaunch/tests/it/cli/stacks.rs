//! The rules of stacks by command: whose approval their plans need, and whose quota counts them.

use serde_json::{Value, json};

use super::audited;
use crate::harness::{World, farm};

fn rules(world: &World) -> (Value, Value) {
    let listed = world.run(&["stack", "ls", "-o", "json"]).expect(0).json();
    (listed["stacks"][0]["protected"].clone(), listed["stacks"][0]["owner"].clone())
}

#[test]
fn protected_owned_and_neither_any_more() {
    let world = World::new();
    world.apply(&world.write_farm(&farm(1))).expect(0);
    assert_eq!(rules(&world), (json!(false), Value::Null));
    let said = world.run(&["stack", "protect", "farm"]).expect(0).stdout;
    assert_eq!(said, "Stack farm is protected: its plans need the approval of another person than their author.\n");
    let owned = world.run(&["stack", "owner", "farm", "team", "-o", "json"]).expect(0).json();
    assert_eq!(owned, json!({ "name": "farm", "protected": true, "owner": "team" }));
    assert_eq!(rules(&world), (json!(true), json!("team")));
    world.run(&["stack", "unprotect", "farm"]).expect(0);
    assert_eq!(rules(&world), (json!(false), json!("team")), "the owner stays");
    let said = world.run(&["stack", "owner", "farm", "--none"]).expect(0).stdout;
    assert_eq!(said, "Stack farm is owned by nobody: no quota counts it.\n");
    assert_eq!(rules(&world), (json!(false), Value::Null));
    let deeds: Vec<String> = audited(&world).into_iter().filter(|deed| deed.starts_with("stack.govern")).collect();
    assert_eq!(deeds, vec!["stack.govern /stacks/farm"; 4]);
    world.finish();
}

#[test]
fn refused_with_what_to_do() {
    let world = World::new();
    let unknown = world.run(&["stack", "protect", "nothing"]).expect(2).stderr;
    assert!(unknown.contains("no stack `nothing` was applied before"), "{unknown}");
    world.run(&["stack", "owner", "farm"]).expect(2);
    world.run(&["stack", "owner", "farm", "a/b"]).expect(2);
    world.run(&["stack", "owner", "farm", "team", "--none"]).expect(2);
    assert_eq!(audited(&world), Vec::<String>::new());
    world.finish();
}

also_through_a_server![protected_owned_and_neither_any_more, refused_with_what_to_do];

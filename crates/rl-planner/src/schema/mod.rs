//! JSON Schema of stack files, for editors and other tools.
//!
//! The types here are the YAML as it is written, field by field; their doc comments become the texts an editor shows.
//! What a schema cannot say (references, overlaps, counts) only `parse` checks; tests hold that both know the same keys.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

mod firewall;
mod site;
mod stack;
mod words;

/// Where the schema says it lives.
const ID: &str = "https://rapidlaunch.dev/schema/stack-file.json";

/// One document of a stack file.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Document {
    Site(Box<site::Site>),
    Stack(Box<stack::Stack>),
}

/// The JSON Schema (draft 2020-12) of one document of a stack file.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().with_transform(NoNull).into_generator();
    let mut value = generator.into_root_schema_for::<Document>().to_value();
    if let Some(root) = value.as_object_mut() {
        root.remove("anyOf");
        root.insert("$id".into(), json!(ID));
        root.insert("title".into(), json!("RapidLaunch stack file"));
        root.insert("type".into(), json!("object"));
        root.insert("required".into(), json!(["kind"]));
        root.insert("properties".into(), json!({ "kind": { "enum": ["site", "stack"] } }));
        // Conditions rather than alternatives: a mistake is then told by the branch that is meant, not by both.
        let branch = |kind: &str, name: &str| {
            json!({
                "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
                "then": { "$ref": format!("#/$defs/{name}") }
            })
        };
        root.insert("allOf".into(), json!([branch("site", "Site"), branch("stack", "Stack")]));
    }
    value
}

/// Takes the `null` away that an optional field brings: a key without value is a mistake in a stack file.
#[derive(Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                object.insert("type".into(), one);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type") != Some(&json!("null")));
            if let [Value::Object(one)] = choices.as_slice() {
                let one = one.clone();
                object.remove("anyOf");
                for (key, value) in one {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

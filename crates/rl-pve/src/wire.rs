//! Proxmox's habits on the wire, one small type each: booleans as 0 and 1, numbers as text, null for an empty list.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Longest list that is taken in: ten times the guests of the largest cluster Proxmox supports; more is no honest answer.
const ROWS_MAX: usize = 200_000;
/// Most keys of one configuration: a guest has some 600 possible ones.
const KEYS_MAX: usize = 4_096;

/// A boolean as Proxmox writes it: `0`, `1`, `"0"`, `"1"`, `""`, `true`, `false`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PveBool(pub bool);

/// A whole number, written as a number or as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PveInt(pub i64);

impl PveInt {
    /// The number, negative ones as zero: sizes and counts are never negative.
    pub fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}

/// A number with a fraction, written as a number or as text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PveNumber(pub f64);

/// A text, which may come as a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PveText(pub String);

struct ScalarVisitor<T> {
    expecting: &'static str,
    from_text: fn(&str) -> Option<T>,
    from_int: fn(i64) -> Option<T>,
    from_float: fn(f64) -> Option<T>,
    from_bool: fn(bool) -> Option<T>,
}

impl<T> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        (self.from_bool)(value).ok_or_else(|| E::invalid_type(de::Unexpected::Bool(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        (self.from_int)(value).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        let number = i64::try_from(value).ok().and_then(self.from_int);
        number.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        (self.from_float)(value).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        (self.from_text)(value).ok_or_else(|| E::custom(format_args!("text where {} was expected", self.expecting)))
    }
}

/// The whole number a float stands for, within the range where floats are exact.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

impl<'de> Deserialize<'de> for PveBool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor {
            expecting: "a boolean (0 or 1)",
            from_text: |text| match text {
                "" | "0" => Some(Self(false)),
                "1" => Some(Self(true)),
                _ => None,
            },
            from_int: |number| matches!(number, 0 | 1).then_some(Self(number == 1)),
            from_float: |_| None,
            from_bool: |value| Some(Self(value)),
        })
    }
}

impl<'de> Deserialize<'de> for PveInt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor {
            expecting: "a whole number",
            from_text: |text| text.trim().parse().ok().map(Self),
            from_int: |number| Some(Self(number)),
            from_float: |number| whole(number).map(Self),
            from_bool: |_| None,
        })
    }
}

impl<'de> Deserialize<'de> for PveNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor {
            expecting: "a number",
            from_text: |text| text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Self),
            from_int: |number| Some(Self(number as f64)),
            from_float: |number| Some(Self(number)),
            from_bool: |_| None,
        })
    }
}

impl<'de> Deserialize<'de> for PveText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor {
            expecting: "a text",
            from_text: |text| Some(Self(text.to_owned())),
            from_int: |number| Some(Self(number.to_string())),
            from_float: |number| Some(Self(number.to_string())),
            from_bool: |value| Some(Self(u8::from(value).to_string())),
        })
    }
}

/// A list of bounded length; null is an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T>(pub Vec<T>);

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IntoIterator for Rows<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

struct RowsVisitor<T>(PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for RowsVisitor<T> {
    type Value = Rows<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E: de::Error>(self) -> Result<Rows<T>, E> {
        Ok(Rows::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rows<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Rows<T>, S::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element()? {
            if rows.len() == ROWS_MAX {
                return Err(de::Error::custom(format_args!("more than {ROWS_MAX} entries")));
            }
            rows.push(row);
        }
        Ok(Rows(rows))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(RowsVisitor(PhantomData))
    }
}

/// A guest's configuration key by key, each value as text. Nested values (`lxc`, the raw LXC options) are left out;
/// [`RawConfig::nested`] names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawConfig {
    /// Key and value.
    pub values: BTreeMap<String, String>,
    /// Keys whose value is no text.
    pub nested: Vec<String>,
}

impl RawConfig {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// SHA-1 of the file, empty when the answer had none.
    pub fn digest(&self) -> &str {
        self.get("digest").unwrap_or_default()
    }
}

/// A value of a configuration: text, something nested, or nothing.
struct RawValue(Option<Option<String>>);

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null => Self(None),
            serde_json::Value::Bool(on) => Self(Some(Some(u8::from(on).to_string()))),
            serde_json::Value::Number(number) => Self(Some(Some(number.to_string()))),
            serde_json::Value::String(text) => Self(Some(Some(text))),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Self(Some(None)),
        })
    }
}

struct RawConfigVisitor;

impl<'de> Visitor<'de> for RawConfigVisitor {
    type Value = RawConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a configuration")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawConfig, M::Error> {
        let mut out = RawConfig::default();
        while let Some((key, value)) = map.next_entry::<String, RawValue>()? {
            if out.values.len() + out.nested.len() == KEYS_MAX {
                return Err(de::Error::custom(format_args!("more than {KEYS_MAX} keys")));
            }
            match value.0 {
                Some(Some(text)) => drop(out.values.insert(key, text)),
                Some(None) => out.nested.push(key),
                None => {}
            }
        }
        Ok(out)
    }
}

impl<'de> Deserialize<'de> for RawConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawConfigVisitor)
    }
}

/// An answer whose content does not matter: null, or anything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[cfg(test)]
mod tests;

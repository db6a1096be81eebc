//! Extracts the keys of metadata from possibly hostile YAML, in bounded time and memory.
//!
//! Keeps only the format's own keys, and only the first few items of a list. Everything else is skipped
//! during parsing, and aliases in it are not expanded.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::metadata::{Kind, MAX_YAML_BYTES, MetadataError, VERSION};
use crate::dtype::Dtype;

/// The raw values of the format's keys, not yet validated.
#[derive(Debug, Default)]
pub struct Keys {
    version: Option<Value>,
    dtype: Option<Value>,
    data_dtype: Option<Value>,
    indices_dtype: Option<Value>,
    indptr_dtype: Option<Value>,
    shape: Option<Value>,
    nnz: Option<Value>,
}

/// A YAML value, shortened to what error messages need.
#[derive(Clone, Debug)]
enum Value {
    Integer(i128),
    Text(String),
    /// Null, a boolean or a float, as text.
    Scalar(String),
    /// The first items of a list, and its length.
    List(Vec<Value>, usize),
    Mapping,
}

impl Keys {
    /// Parses YAML text with a single document, which must be a mapping.
    pub fn parse(yaml: &[u8]) -> Result<Self, MetadataError> {
        if yaml.len() as u64 > MAX_YAML_BYTES {
            return Err(MetadataError::new(
                "size",
                format!("at most {MAX_YAML_BYTES} bytes"),
                format!("{} bytes", yaml.len()),
            ));
        }
        let refuse = |found: String| MetadataError::new("YAML", "a mapping of the format's keys", found);
        // Some editors write a byte-order mark.
        let yaml = yaml.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(yaml);
        let brackets = yaml.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
        if brackets > MOST_BRACKETS {
            return Err(refuse(format!("{brackets} opening brackets")));
        }
        let document: Document =
            serde_yaml::from_slice(yaml).map_err(|error| refuse(clipped(&error.to_string())))?;
        match document {
            Document::Keys(keys) => Ok(*keys),
            Document::Other(Value::Scalar(null)) if null == "null" => Err(refuse("nothing".into())),
            Document::Other(value) => Err(refuse(value.to_string())),
        }
    }

    /// Whether the text looks like the metadata of an array, valid or not.
    pub fn claim_an_array(&self) -> bool {
        self.shape.is_some() && (self.dtype.is_some() || self.data_dtype.is_some())
    }

    /// The kind of array that the keys describe. `None` if it is ambiguous.
    pub fn kind(&self) -> Option<Kind> {
        let sparse = [&self.data_dtype, &self.indices_dtype, &self.indptr_dtype, &self.nnz];
        match (self.dtype.is_some(), sparse.iter().filter(|key| key.is_some()).count()) {
            // A lone `nnz` counts as one of the unknown keys that a dense array may have.
            (true, 0..=1) => Some(Kind::Dense),
            (false, 1..) => Some(Kind::Sparse),
            _ => None,
        }
    }

    pub(super) fn version(&self) -> Result<[u64; 2], MetadataError> {
        let expected = "[1, minor]";
        let value = required("version", &self.version, expected)?;
        match value.integers().as_deref() {
            Some(&[major, minor]) if major == VERSION[0] => Ok([major, minor]),
            _ => Err(MetadataError::new("version", expected, value.to_string())),
        }
    }

    pub(super) fn dtype(&self, key: &'static str) -> Result<Dtype, MetadataError> {
        let value = match key {
            "data_dtype" => &self.data_dtype,
            "indices_dtype" => &self.indices_dtype,
            "indptr_dtype" => &self.indptr_dtype,
            _ => &self.dtype,
        };
        let expected = || format!("one of {}", Dtype::names());
        match required(key, value, "the name of a type")? {
            Value::Text(name) => {
                Dtype::from_name(name).ok_or_else(|| MetadataError::new(key, expected(), clipped(name)))
            }
            other => Err(MetadataError::new(key, expected(), other.to_string())),
        }
    }

    pub(super) fn shape(&self) -> Result<Vec<u64>, MetadataError> {
        let expected = "one or two integers above zero";
        let value = required("shape", &self.shape, expected)?;
        match value.integers() {
            Some(axes) => Ok(axes),
            None => Err(MetadataError::new("shape", expected, value.to_string())),
        }
    }

    pub(super) fn nnz(&self) -> Result<u64, MetadataError> {
        let expected = "an integer, not negative";
        let value = required("nnz", &self.nnz, expected)?;
        value.integer().ok_or_else(|| MetadataError::new("nnz", expected, value.to_string()))
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<Value>> {
        Some(match key {
            "version" => &mut self.version,
            "dtype" => &mut self.dtype,
            "data_dtype" => &mut self.data_dtype,
            "indices_dtype" => &mut self.indices_dtype,
            "indptr_dtype" => &mut self.indptr_dtype,
            "shape" => &mut self.shape,
            "nnz" => &mut self.nnz,
            _ => return None,
        })
    }
}

/// The time of the parser grows quadratically with the number of brackets that are open at the same time.
const MOST_BRACKETS: usize = 4096;

fn required<'v>(
    what: &'static str,
    value: &'v Option<Value>,
    expected: &str,
) -> Result<&'v Value, MetadataError> {
    value.as_ref().ok_or_else(|| MetadataError::new(what, expected, "no such key"))
}

/// Shortens text from a file for a message.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Value {
    /// List items to keep: one more than any valid key has.
    const KEPT: usize = 4;

    fn integer(&self) -> Option<u64> {
        match self {
            Self::Integer(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The items of a list, if all are integers and none was dropped.
    fn integers(&self) -> Option<Vec<u64>> {
        match self {
            Self::List(items, count) if items.len() == *count => items.iter().map(Self::integer).collect(),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(&clipped(text)),
            Self::Scalar(text) => f.write_str(text),
            Self::Mapping => f.write_str("a mapping"),
            Self::List(items, count) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    match item {
                        Self::List(..) => f.write_str("a list")?,
                        Self::Text(text) if text.parse::<f64>().is_ok() => write!(f, "{text:?}")?,
                        item => write!(f, "{item}")?,
                    }
                }
                f.write_str(if items.len() < *count { ", …]" } else { "]" })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { depth: 0 })
    }
}

/// Keeps scalars and the first items of a list, but nothing of a mapping.
struct ValueVisitor {
    depth: u8,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Scalar("null".into()))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Scalar("null".into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(i128::try_from(value).map_or_else(|_| Value::Scalar(value.to_string()), Value::Integer))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let mut count = 0;
        // Keep nothing of nested lists, so that lists of lists cannot multiply.
        let kept = if self.depth == 0 { Value::KEPT } else { 0 };
        while items.len() < kept {
            match seq.next_element_seed(Nested { depth: self.depth + 1 })? {
                Some(item) => items.push(item),
                None => return Ok(Value::List(items, count)),
            }
            count += 1;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Value::List(items, count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Mapping)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, content): (String, _) = data.variant()?;
        content.newtype_variant::<IgnoredAny>()?;
        Ok(Value::Scalar(clipped(&format!("!{tag} …"))))
    }
}

struct Nested {
    depth: u8,
}

impl<'de> serde::de::DeserializeSeed<'de> for Nested {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor { depth: self.depth })
    }
}

/// A whole document: the keys of a mapping, or another value.
enum Document {
    Keys(Box<Keys>),
    Other(Value),
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

macro_rules! as_other {
    ($($visit:ident($($type:ty)?)),*) => {$(
        fn $visit<E: serde::de::Error>(self $(, value: $type)?) -> Result<Document, E> {
            ValueVisitor { depth: 0 }.$visit($(value as $type)?).map(Document::Other)
        }
    )*};
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML document")
    }

    as_other!(
        visit_unit(),
        visit_none(),
        visit_bool(bool),
        visit_u64(u64),
        visit_i64(i64),
        visit_f64(f64),
        visit_str(&str)
    );

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Document, A::Error> {
        Err(serde::de::Error::custom("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut keys = Keys::default();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<Value>()? {
            let Value::Text(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !seen.insert(key.clone()) {
                return Err(serde::de::Error::custom(format!("the key {} twice", clipped(&key))));
            }
            match keys.slot(&key) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Document::Keys(Box::new(keys)))
    }
}

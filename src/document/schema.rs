//! The JSON schema of a document, made from its types.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::head::Kind;

/// The schema of an export of the kind `kind`, whose type is `T`, in the draft of 2020-12: of what is read back, so that it
/// also holds for an export that an older procbench of the same schema version has written.
pub fn of<T: JsonSchema>(kind: Kind) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(WithoutLinks);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".into(), Value::from(format!("procbench {}", kind.name())));
    if let Some(Value::Object(of_kind)) = schema.pointer_mut("/properties/kind") {
        of_kind.insert("const".into(), Value::from(kind.name()));
    }
    schema
}

/// Comments in the source link to each other; in a schema there is nothing to link to.
#[derive(Debug, Clone)]
struct WithoutLinks;

impl Transform for WithoutLinks {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = without_links(text);
        }
        transform_subschemas(self, schema);
    }
}

/// ``[`A`]`` and ``[`A`](B)`` become `` `A` ``.
fn without_links(text: &str) -> String {
    let mut pieces = text.split("[`");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let Some((name, rest)) = piece.split_once("`]") else {
            plain += &format!("[`{piece}");
            continue;
        };
        let target = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        plain += &format!("`{name}`{}", target.map_or(rest, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_plain_names() {
        assert_eq!(without_links("See [`A::b`] and [`C`](super::C): [x]."), "See `A::b` and `C`: [x].");
        assert_eq!(without_links("nothing [`open"), "nothing [`open");
    }
}

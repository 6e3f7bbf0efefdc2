//! # Values: what may stand behind a key
//!
//! Scalars of every kind, lists and mappings of them, three deep.

use proptest::prelude::*;

/// Any value; `keys` is a pattern for the keys of mappings, `more` are further scalars.
pub fn any(keys: &'static str, more: &[&'static str]) -> impl Strategy<Value = String> {
    let usual =
        ["~", "5", "-7", "1.5", "true", "x", "80:80", "'a=b'", "10s", "50M", "./a:/b:ro", "{}", "[]", "\"$N\"", ".inf", "''"];
    let leaf = prop_oneof![prop::sample::select([&usual, more].concat()).prop_map(str::to_string), "'[a-z0-9:/=.,\\-]{0,10}'",];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map(keys, inner, 0..3)
                .prop_map(|map| format!("{{{}}}", map.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", "))),
        ]
    })
}

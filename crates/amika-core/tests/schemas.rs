//! The schemas that are generated from the types say what the documents hold.

use amika_core::config::report::Report;
use amika_core::credential::CredentialFile;
use amika_core::mount::Mount;
use amika_core::name::SandboxName;
use amika_core::service::Binding;
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

fn schema<T: JsonSchema>() -> Value {
    serde_json::to_value(schema_for!(T)).expect("a schema is JSON")
}

fn required<T: JsonSchema>() -> Value {
    schema::<T>()["required"].clone()
}

#[test]
fn documents_name_their_fields() {
    assert_eq!(
        required::<Report>(),
        json!([
            "valid",
            "lifecycle",
            "sandbox",
            "env",
            "secret_env",
            "services",
            "warnings"
        ])
    );
    assert_eq!(
        required::<Binding>(),
        json!(["host_ip", "host_port", "container"])
    );
    assert_eq!(required::<CredentialFile>(), json!(["agent", "path"]));
    assert_eq!(
        schema::<SandboxName>()["pattern"],
        "^[a-z0-9][a-z0-9-]{0,40}$"
    );
    assert_eq!(schema::<Mount>()["oneOf"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_service_s_port_is_flat_and_bounded() {
    let schema = schema::<Report>();
    let port = &schema["$defs"]["ServicePort"];
    let fields: Vec<&str> = port["properties"]
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, ["port", "protocol", "url_scheme"]);
    assert_eq!(schema["$defs"]["Port"]["minimum"], 1);
    assert_eq!(schema["$defs"]["Port"]["maximum"], 65535);
}

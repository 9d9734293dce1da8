//! Proxy variables, passed on as docker does: from `proxies.default` of its `config.json`.

use amika_host::machine::Machine;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    proxies: Proxies,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Proxies {
    default: Proxy,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Proxy {
    #[serde(rename = "httpProxy")]
    http: Option<String>,
    #[serde(rename = "httpsProxy")]
    https: Option<String>,
    #[serde(rename = "noProxy")]
    no: Option<String>,
    #[serde(rename = "ftpProxy")]
    ftp: Option<String>,
    #[serde(rename = "allProxy")]
    all: Option<String>,
}

/// The variables for containers and builds, in both spellings.
pub fn variables(machine: &Machine) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(machine.docker_config_dir().join("config.json"));
    from_config(&text.unwrap_or_default())
}

fn from_config(json: &str) -> Vec<(String, String)> {
    let proxy = serde_json::from_str::<Config>(json)
        .unwrap_or_default()
        .proxies
        .default;
    [
        ("HTTP_PROXY", proxy.http),
        ("HTTPS_PROXY", proxy.https),
        ("NO_PROXY", proxy.no),
        ("FTP_PROXY", proxy.ftp),
        ("ALL_PROXY", proxy.all),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .flat_map(|(key, value)| {
        [
            (key.to_owned(), value.clone()),
            (key.to_ascii_lowercase(), value),
        ]
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_set() {
        let json = r#"{"proxies":{"default":{"httpProxy":"http://p:1","noProxy":"a,b"}}}"#;
        let expected = [
            ("HTTP_PROXY", "http://p:1"),
            ("http_proxy", "http://p:1"),
            ("NO_PROXY", "a,b"),
            ("no_proxy", "a,b"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(from_config(json), expected);
    }

    #[test]
    fn a_broken_or_absent_file_means_none() {
        assert!(from_config("").is_empty());
        assert!(from_config("{not json").is_empty());
        assert!(from_config("{}").is_empty());
    }
}

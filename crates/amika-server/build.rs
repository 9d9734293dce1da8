//! Puts the page into the library: what the directory `$AMIKA_PAGE_DIR` holds (`make web` builds it there), as a table of paths.

#![allow(
    clippy::disallowed_methods,
    reason = "cargo tells a build script all by its environment"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AMIKA_PAGE_DIR");
    let mut files = Vec::new();
    let root = std::env::var_os("AMIKA_PAGE_DIR").filter(|dir| !dir.is_empty());
    if let Some(root) = root.map(PathBuf::from).filter(|root| root.is_dir()) {
        println!("cargo::rerun-if-changed={}", root.display());
        collect(&root.canonicalize()?, &mut files)?;
    }
    // Of each file there is one compressed by brotli and one by gzip: `NAME.br` and `NAME.gz`.
    let mut pairs: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
    for (name, path) in files {
        for (index, end) in [".br", ".gz"].into_iter().enumerate() {
            if let Some(name) = name.strip_suffix(end) {
                pairs.entry(name.to_owned()).or_default()[index] = Some(path.clone());
            }
        }
    }
    let mut table = String::from("static FILES: &[File] = &[\n");
    for (name, pair) in pairs {
        let [Some(brotli), Some(gzip)] = pair else {
            return Err(format!("{name} is not there in both compressions").into());
        };
        writeln!(
            table,
            "    File {{ path: {name:?}, brotli: include_bytes!({brotli:?}), gzip: include_bytes!({gzip:?}) }},"
        )?;
    }
    table.push_str("];\n");
    std::fs::write(
        PathBuf::from(std::env::var("OUT_DIR")?).join("page.rs"),
        table,
    )?;
    Ok(())
}

fn collect(root: &Path, files: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path);
            files.push((name.display().to_string(), path.display().to_string()));
        }
    }
    Ok(())
}

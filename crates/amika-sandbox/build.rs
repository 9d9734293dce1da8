//! Puts into the library what `amika` carries: the preset images' recipes, and amikad for each architecture
//! that the directory `$AMIKAD_DIR` holds as `amikad-<arch>` (`make build` sets it).

#![allow(
    clippy::disallowed_methods,
    reason = "cargo tells a build script all by its environment"
)]

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let images = manifest.join("../../images").canonicalize()?;
    println!("cargo::rerun-if-env-changed=AMIKAD_DIR");
    println!("cargo::rerun-if-changed={}", images.display());

    let mut table = String::from("pub(super) static RECIPES: &[Recipe] = &[\n");
    for preset in ["coder", "coder-dind"] {
        let root = images.join(preset);
        let mut files = Vec::new();
        collect(&root, &mut files)?;
        files.sort();
        writeln!(table, "    Recipe {{ preset: {preset:?}, files: &[")?;
        for file in files {
            let executable = file.metadata()?.permissions().mode() & 0o111 != 0;
            writeln!(
                table,
                "        RecipeFile {{ path: {:?}, executable: {executable}, content: include_bytes!({:?}) }},",
                file.strip_prefix(&root)?.display().to_string(),
                file.display().to_string(),
            )?;
        }
        writeln!(table, "    ] }},")?;
    }
    writeln!(table, "];")?;
    writeln!(
        table,
        "pub(super) static VERSIONS: &str = include_str!({:?});",
        images.join("versions.env").display().to_string()
    )?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("recipes.rs"), table)?;

    let mut daemons = String::from("static EMBEDDED: &[Embedded] = &[\n");
    if let Some(dir) = std::env::var_os("AMIKAD_DIR").filter(|dir| !dir.is_empty()) {
        println!("cargo::rerun-if-changed={}", Path::new(&dir).display());
        let mut found: Vec<PathBuf> = std::fs::read_dir(&dir)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_, std::io::Error>>()?;
        found.sort();
        for file in found {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if let Some(arch) = name.strip_prefix("amikad-") {
                println!("cargo::rerun-if-changed={}", file.display());
                // The program is hashed here, once, and not at each start of amika.
                let digest = Sha256::digest(std::fs::read(&file)?);
                writeln!(
                    daemons,
                    "    Embedded {{ arch: {arch:?}, digest: {digest:?}, bytes: include_bytes!({:?}) }},",
                    file.canonicalize()?.display().to_string(),
                    digest = digest.as_slice(),
                )?;
            }
        }
    }
    writeln!(daemons, "];")?;
    std::fs::write(out.join("daemons.rs"), daemons)?;
    Ok(())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

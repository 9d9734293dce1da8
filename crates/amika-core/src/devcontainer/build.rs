//! The Dockerfile of a `devcontainer.json`, where `[sandbox] dockerfile` builds the same of it.

use super::{Work, variables, why_not};
use crate::budget;
use crate::build::is_arg;
use crate::config::why_refused;
use crate::draft::Image;
use crate::jsonc::{Member, Node, Value};

/// A value with its key as it is told.
type At<'a> = (&'static str, &'a Node);

impl Work<'_> {
    /// Takes `build` over, and what older files say at the top.
    pub(super) fn build(&mut self) {
        let root = self.root;
        let build = root.get("build");
        if let Some(node) = build.filter(|node| !matches!(node.value, Value::Object(_))) {
            self.wrong("build", node, "an object");
        }
        for member in build.iter().flat_map(|node| node.members()) {
            let reason = match member.key.as_str() {
                "dockerfile" | "context" | "args" => continue,
                "target" => "the image is that of the Dockerfile's last stage",
                "cacheFrom" => "an image of the same content is built once",
                _ => why_not("build"),
            };
            let key = format!("build.{}", member.key);
            self.rest(&key, member.key_span.clone(), reason);
        }
        let of = |key, old| {
            let inner = build.and_then(|node| node.get(key));
            inner.or_else(|| root.get(old))
        };
        let said = |key, old, inner| match build.and_then(|node| node.get(key)) {
            Some(_) => inner,
            None => old,
        };
        let file = of("dockerfile", "dockerFile");
        let file = file.map(|node| (said("dockerfile", "dockerFile", "build.dockerfile"), node));
        let context = of("context", "context");
        let context = context.map(|node| (said("context", "context", "build.context"), node));
        let args = build.and_then(|node| node.get("args"));
        let Some(file) = file else {
            let args = args.map(|node| ("build.args", node));
            for (key, node) in [context, args].into_iter().flatten() {
                self.rest(key, node.span.clone(), "no Dockerfile is named");
            }
            return;
        };
        match self.dockerfile(file, context) {
            Ok(dockerfile) => {
                let args = args.map(|node| self.args(node)).unwrap_or_default();
                self.draft.image = Some(Image::Built { dockerfile, args });
            }
            Err((key, node, reason)) => self.rest(key, node.span.clone(), &reason),
        }
    }

    /// The Dockerfile's path from the repository's root.
    fn dockerfile<'a>(
        &self,
        (key, node): At<'a>,
        context: Option<At<'a>>,
    ) -> Result<String, (&'static str, &'a Node, String)> {
        let refused = |reason: &str| (key, node, reason.to_owned());
        if self.draft.image.is_some() {
            return Err(refused("the file names an image as well"));
        }
        let file = self.path(node).map_err(|reason| refused(&reason))?;
        if let Some(reason) = why_refused(&file) {
            return Err(refused(&format!("it {reason}")));
        }
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        let of = match context {
            Some((key, node)) => self.path(node).map_err(|reason| (key, node, reason))?,
            None => self.directory.clone().unwrap_or_default(),
        };
        if of == directory {
            return Ok(file);
        }
        let named = |directory: &str| match directory {
            "" => "the repository's root".to_owned(),
            directory => format!("\"{}\"", directory.escape_debug()),
        };
        Err(refused(&format!(
            "it is built with {}, and an image of `[sandbox] dockerfile` with the directory that the Dockerfile stands in: \
             move it there, and name it",
            named(&of)
        )))
    }

    /// A path from the repository's root, of one from the file's directory.
    fn path(&self, node: &Node) -> Result<String, String> {
        let Some(text) = node.as_str() else {
            return Err(format!("it must be a string, and is {}", node.kind()));
        };
        if variables::first(text).is_some() {
            return Err(
                "it has variables in it: name it plainly in `[sandbox] dockerfile`".to_owned(),
            );
        }
        if text.starts_with('/') {
            return Err("it is a path of this machine".to_owned());
        }
        let Some(directory) = &self.directory else {
            return Err(
                "the file is outside of the repository, and so is what it names".to_owned(),
            );
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in directory.split('/').chain(text.split('/')) {
            match part {
                "" | "." => {}
                ".." => {
                    let outside = || "it leads out of the repository".to_owned();
                    parts.pop().ok_or_else(outside)?;
                }
                part => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }

    fn args(&mut self, node: &Node) -> Vec<(String, String)> {
        let mut args: Vec<(String, String)> = Vec::new();
        if !matches!(node.value, Value::Object(_)) {
            self.wrong("build.args", node, "an object");
        }
        for member in node.members() {
            match arg(member) {
                // Of a name that is there twice the last one counts.
                Ok(value) => {
                    args.retain(|(name, _)| *name != member.key);
                    args.push((member.key.clone(), value));
                }
                Err(reason) => {
                    let key = format!("build.args.{}", member.key);
                    self.rest(&key, member.key_span.clone(), &reason);
                }
            }
        }
        if args.len() > budget::BUILD_ARGS {
            args.truncate(budget::BUILD_ARGS);
            self.rest(
                "build.args",
                node.span.clone(),
                "there are too many of them",
            );
        }
        args
    }
}

fn arg(member: &Member) -> Result<String, String> {
    let Some(value) = member.node.as_str() else {
        return Err(format!(
            "it must be a string, and is {}",
            member.node.kind()
        ));
    };
    if !is_arg(&member.key) {
        return Err("it is no name of an ARG".to_owned());
    }
    if variables::first(value).is_some() {
        return Err("`build_args` has plain values alone".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err("it has control characters in it".to_owned());
    }
    Ok(value.to_owned())
}

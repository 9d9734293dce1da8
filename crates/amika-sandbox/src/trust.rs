//! Whether the record of a sandbox is this user's own.
//!
//! Whoever makes a container can write any label on it, and its image can too. What a record says of
//! files of this machine is believed only where this user's `amika` wrote it, which the signature
//! shows, or where the user said so: `amika sandbox adopt`. Labels cannot change, so what was adopted
//! is noted beside the user's key. It is the one thing that is known of a sandbox and not kept by the
//! engine; without it a sandbox is only trusted less.

use std::path::PathBuf;

use amika_core::hex::{hex, unhex};
use amika_core::label::{Labels, SandboxId, canonical, key};
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::Sha256;

use crate::daemon::UserKey;
use crate::error::{Error, Kind, Result};
use amika_engine::ContainerFacts;
use amika_host::private_file;

/// What the key of signatures is for; another form of signature has another word.
const SIGNING: &str = "sandbox record 1";
/// What the key of adoptions is for.
const ADOPTING: &str = "adopted sandbox record 1";
/// What the key of notes in a sandbox is for.
const NOTING: &str = "note on added sign-ins 1";

/// Whose a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// This user's `amika` made the sandbox: the signature shows it.
    Signed,
    /// Somebody else's, or unsigned, and this user trusts it since `amika sandbox adopt`.
    Adopted,
    /// Signed with another key, or not at all: made by an older amika, with sudo, by somebody else,
    /// or by no amika.
    Foreign,
}

impl Trust {
    /// Whether paths of this machine that the record names may be followed.
    pub fn follows_host_paths(self) -> bool {
        self != Self::Foreign
    }
}

/// The keys by which this user's records are known, and where adoptions are noted.
#[derive(Clone)]
pub struct RecordKey {
    signing: [u8; 32],
    adopting: [u8; 32],
    noting: [u8; 32],
    adopted: PathBuf,
}

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey(…)")
    }
}

impl RecordKey {
    /// The keys that come of a user's key; adoptions are noted in a directory.
    pub fn of(key: &UserKey, adopted: PathBuf) -> Self {
        Self {
            signing: key.derive(SIGNING),
            adopting: key.derive(ADOPTING),
            noting: key.derive(NOTING),
            adopted,
        }
    }

    /// Puts the signature on the labels of a sandbox's container.
    pub fn sign(&self, labels: &mut Labels) {
        let signature = hex(&mac(&self.signing, &[&encode(labels)])
            .finalize()
            .into_bytes());
        labels.insert(key::SIGNATURE.to_owned(), signature);
    }

    /// Whether this user's key signed the labels of a container.
    pub fn has_signed(&self, labels: &Labels) -> bool {
        let signature = labels.get(key::SIGNATURE).map_or("", String::as_str);
        is_hex_of(&mac(&self.signing, &[&encode(labels)]), signature)
    }

    /// Whose the record of a container is.
    pub fn trust(&self, container: &ContainerFacts) -> Trust {
        let labels = &container.labels;
        if self.has_signed(labels) {
            return Trust::Signed;
        }
        let noted = self.note_of(labels).and_then(|note| {
            // More than a note has is none.
            std::fs::read_to_string(note).ok()
        });
        match noted {
            Some(noted) if is_hex_of(&self.adoption(container), noted.trim_end()) => Trust::Adopted,
            _ => Trust::Foreign,
        }
    }

    /// Notes that the record of this very container is trusted from now on.
    ///
    /// # Errors
    /// [`Kind::Failure`] when the note cannot be written.
    pub fn adopt(&self, container: &ContainerFacts) -> Result<()> {
        let failed = |error: &dyn std::error::Error| {
            Error::new(
                Kind::Failure,
                format!("{} cannot be written to", self.adopted.display()),
            )
            .caused_by(error)
        };
        let Some(note) = self.note_of(&container.labels) else {
            return Err(Error::new(
                Kind::Failure,
                "a container without a sandbox's id cannot be adopted",
            ));
        };
        let text = hex(&self.adoption(container).finalize().into_bytes());
        let written = private_file::staged(&note, format!("{text}\n").as_bytes())
            .and_then(|file| Ok(file.persist(&note)?));
        written.map(drop).map_err(|error| failed(&error))
    }

    /// Signs what is noted of a sandbox in its own files, where whoever is root in it can write.
    pub fn sign_note(&self, id: &SandboxId, note: &str) -> String {
        hex(&self.note(id, note).finalize().into_bytes())
    }

    /// Whether this user's `amika` noted that of this sandbox.
    pub fn signed_note(&self, id: &SandboxId, note: &str, signature: &str) -> bool {
        is_hex_of(&self.note(id, note), signature)
    }

    fn note(&self, id: &SandboxId, note: &str) -> Hmac<Sha256> {
        // All ids are equally long: none can be read as a part of what follows.
        mac(&self.noting, &[id.as_str().as_bytes(), note.as_bytes()])
    }

    /// Removes the note on a sandbox that is gone. One that stays trusts nothing: it is of that very
    /// container alone.
    pub fn forget(&self, id: &SandboxId) {
        let note = self.adopted.join(id.as_str());
        if let Err(error) = std::fs::remove_file(note)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "the note of an adoption stays");
        }
    }

    /// Where the adoption of a record is noted; none where it has no id.
    fn note_of(&self, labels: &Labels) -> Option<PathBuf> {
        let id: SandboxId = labels.get(key::ID)?.parse().ok()?;
        Some(self.adopted.join(id.as_str()))
    }

    /// What is noted of a container: other labels, or another container, make another one.
    fn adoption(&self, container: &ContainerFacts) -> Hmac<Sha256> {
        let id = container.id.as_bytes();
        let length = (id.len() as u64).to_be_bytes();
        mac(&self.adopting, &[&length, id, &encode(&container.labels)])
    }
}

fn encode(labels: &Labels) -> Vec<u8> {
    canonical(
        labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str())),
    )
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Compares, in the one spelling that is written here, in a time that does not depend on where they differ.
fn is_hex_of(mac: &Hmac<Sha256>, text: &str) -> bool {
    let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
    !has_capitals && unhex(text).is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use amika_core::label::{SandboxRecord, SetupScript};

    use sha2::{Digest as _, Sha256};

    use super::*;
    use amika_engine::{ContainerState, LimitFacts};

    fn container(labels: Labels) -> ContainerFacts {
        ContainerFacts {
            id: "c1".to_owned(),
            name: "teal-tokyo".to_owned(),
            hostname: None,
            state: ContainerState::Exited,
            exit_code: 0,
            oom_killed: false,
            finished_at: None,
            error: String::new(),
            labels,
            image: String::new(),
            image_id: String::new(),
            anonymous_volumes: std::collections::BTreeSet::new(),
            cmd: Vec::new(),
            ports: Vec::new(),
            port_requests: Vec::new(),
            mounts: Vec::new(),
            network: None,
            networks: Vec::new(),
            health: None,
            capabilities: amika_engine::CapabilityFacts::default(),
            seccomp: None,
            limits: LimitFacts::default(),
        }
    }

    fn labels() -> Labels {
        let record = SandboxRecord {
            setup_script: Some(SetupScript::Host("/src/setup.sh".to_owned())),
            ..SandboxRecord::new(SandboxId::from_random([7; 16]))
        };
        record.to_labels()
    }

    fn keys(dir: &Path) -> [RecordKey; 2] {
        [1, 2].map(|byte| RecordKey::of(&UserKey::of_bytes([byte; 32]), dir.to_owned()))
    }

    #[test]
    fn only_the_own_signature_over_these_very_labels_is_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let [own, others] = keys(dir.path());
        let mut signed = labels();
        own.sign(&mut signed);
        assert_eq!(own.trust(&container(signed.clone())), Trust::Signed);
        assert_eq!(others.trust(&container(signed.clone())), Trust::Foreign);
        assert_eq!(own.trust(&container(labels())), Trust::Foreign);
        assert_eq!(own.trust(&container(BTreeMap::new())), Trust::Foreign);
        // A label of another program says nothing of the sandbox.
        let mut with_others = signed.clone();
        with_others.insert("com.example".to_owned(), "x".to_owned());
        assert_eq!(own.trust(&container(with_others)), Trust::Signed);
        // Any other value of any label, and any further label.
        for label in key::ALL.into_iter().chain(["dev.amika.future"]) {
            let mut changed = signed.clone();
            changed.insert(label.to_owned(), "x".to_owned());
            assert_eq!(own.trust(&container(changed)), Trust::Foreign, "{label}");
        }
        let signature = signed[key::SIGNATURE].clone();
        for other in [
            String::new(),
            signature.to_uppercase(),
            signature[..62].to_owned(),
            format!("{signature}00"),
            format!(" {signature}"),
            "é".repeat(32),
        ] {
            let mut changed = signed.clone();
            changed.insert(key::SIGNATURE.to_owned(), other);
            assert_eq!(own.trust(&container(changed)), Trust::Foreign);
        }
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read_and_known_as_the_own() {
        // As the version wrote it that knew neither origins nor servers; its user's key was 32 times 1.
        let written = include_str!("trust/labels-before-origins.json");
        let labels: Labels = serde_json::from_str(written).expect("labels");
        let dir = tempfile::tempdir().expect("a directory");
        let [own, others] = keys(dir.path());
        assert_eq!(own.trust(&container(labels.clone())), Trust::Signed);
        assert_eq!(others.trust(&container(labels.clone())), Trust::Foreign);

        let sandbox = crate::sandbox::Sandbox::of(container(labels));
        assert!(sandbox.problems.is_empty(), "{:?}", sandbox.problems);
        let record = &sandbox.record;
        let repository = record.repository.as_ref().expect("a repository");
        assert_eq!(record.id.as_str(), "07070707-0707-4707-8707-070707070707");
        assert_eq!(repository.name, "shop");
        assert_eq!(record.services.len(), 1);
        assert_eq!(record.copied_files["/data/x"], "/src/x");
        assert_eq!(record.credentials.len(), 2);
        assert_eq!(
            record.setup_script,
            Some(SetupScript::Host("/src/setup.sh".to_owned()))
        );
        assert_eq!(record.creator.as_ref().map(|it| it.pid), Some(42));
    }

    #[test]
    fn a_sandbox_s_token_signs_no_record() {
        let key = UserKey::of_bytes([1; 32]);
        let record_key = RecordKey::of(&key, PathBuf::new());
        assert_ne!(record_key.signing, record_key.adopting);
        assert_ne!(record_key.signing, record_key.noting);
        for word in [SIGNING, ADOPTING, NOTING] {
            let derived = Sha256::digest(hex(&key.derive(word)));
            assert_ne!(key.token(word).sha256(), hex(&derived));
            // What is digested for it is no sandbox's id.
            assert!(
                format!("amika key for: {word}")
                    .parse::<SandboxId>()
                    .is_err()
            );
        }
    }

    #[test]
    fn an_adoption_is_of_one_container_as_it_is_by_one_user() {
        let dir = tempfile::tempdir().expect("a directory");
        let notes = dir.path().join("adopted");
        let [own, others] = keys(&notes);
        let adopted = container(labels());
        assert_eq!(own.trust(&adopted), Trust::Foreign);
        own.adopt(&adopted).expect("noted");
        assert_eq!(own.trust(&adopted), Trust::Adopted);
        assert_eq!(others.trust(&adopted), Trust::Foreign);
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        let id = SandboxId::from_random([7; 16]);
        assert_eq!(mode(&notes), 0o700);
        assert_eq!(mode(&notes.join(id.as_str())), 0o600);
        let mut other = adopted.clone();
        other.id = "c2".to_owned();
        assert_eq!(own.trust(&other), Trust::Foreign);
        let mut other = adopted.clone();
        let path = "/home/ada/bin/deploy".to_owned();
        other.labels.insert(key::SETUP_HOST_PATH.to_owned(), path);
        assert_eq!(own.trust(&other), Trust::Foreign);
        own.forget(&id);
        assert_eq!(own.trust(&adopted), Trust::Foreign);
        assert_eq!(std::fs::read_dir(&notes).expect("listed").count(), 0);
    }

    #[test]
    fn a_note_is_of_one_sandbox_and_by_one_user() {
        let [own, others] = keys(Path::new("/nowhere"));
        let [id, other] = [1, 2].map(|byte| SandboxId::from_random([byte; 16]));
        let signature = own.sign_note(&id, "claude");
        assert!(own.signed_note(&id, "claude", &signature));
        assert!(!own.signed_note(&id, "claude,codex", &signature));
        assert!(!own.signed_note(&other, "claude", &signature));
        assert!(!others.signed_note(&id, "claude", &signature));
        assert!(!own.signed_note(&id, "claude", ""));
    }

    #[test]
    fn no_label_leads_out_of_the_directory_of_notes() {
        let dir = tempfile::tempdir().expect("a directory");
        let [own, _] = keys(dir.path());
        for id in ["../key", "", "/etc/passwd", "x"] {
            let mut labels = labels();
            labels.insert(key::ID.to_owned(), id.to_owned());
            assert_eq!(own.note_of(&labels), None, "{id}");
            assert!(own.adopt(&container(labels)).is_err(), "{id}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
    }
}

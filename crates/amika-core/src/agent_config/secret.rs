//! What may be a secret in a text that somebody wrote into settings. In doubt it may: what is left out is named, and what
//! went in is not got back.

/// Parts of names that secrets have.
const NAMES: [&str; 17] = [
    "auth-",
    "auth:",
    "auth=",
    "auth_",
    "authoriz",
    "bearer",
    "cookie",
    "credential",
    "dsn",
    "jwt",
    "key",
    "oauth",
    "passwd",
    "password",
    "pwd",
    "secret",
    "token",
];

/// What tokens of well-known services begin with.
const BEGINNINGS: [&str; 12] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "akia",
    "eyj",
];

/// So long is a word that nobody made up, at least.
const RANDOM: usize = 20;

/// Whether a word, or a line of words, holds what may be a secret, or names one that follows.
pub(super) fn may_be_secret(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    let is_named = low.starts_with('-') || low.contains(['=', ':', ' ']);
    let names_one = is_named && NAMES.iter().any(|name| low.contains(name));
    let header = ["--header", "-h", "--pat", "--pass"].contains(&&*low);
    let has_user = low.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    });
    names_one || header || has_user || words(&low).any(is_token)
}

/// The runs of characters that tokens are made of.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|found: char| !(found.is_ascii_alphanumeric() || "_-.".contains(found)))
}

/// Whether a word is a token, by what it begins with or since nobody made it up.
pub(super) fn is_token(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let is_known = BEGINNINGS
        .iter()
        .any(|begin| word.starts_with(begin) && word.len() > begin.len() + 8);
    // Names of packages and hosts have a separator every few letters.
    let is_random = word.split(['.', '-', '_']).any(|run| {
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        run.len() >= RANDOM && digits >= 2 && digits < run.len()
    });
    is_known || is_random
}

#[cfg(test)]
mod tests {
    use super::may_be_secret;

    #[test]
    fn what_may_be_a_secret_is_taken_for_one() {
        for text in [
            "--api-key",
            "API_TOKEN=k",
            "X-API-Key: abc",
            "Authorization: Basic eA==",
            "export A=1; GITHUB_TOKEN=x npx y",
            "postgresql://u:pass@db/x?sslmode=require",
            "ghp_0123456789abcdef0123",
            "sk-ant-api03-abcdefgh",
            "--header",
            "https://mcp.example/s/Zm9vYmFyYmF6cXV4MTIzNDU2/mcp",
            "Bash(PGPASSWORD=x psql)",
            "Bash(curl -H \"Authorization: Bearer abc\")",
        ] {
            assert!(may_be_secret(text), "{text}");
        }
        for text in [
            "-y",
            "@modelcontextprotocol/server-filesystem@2025.1.14",
            "https://mcp.example/docs",
            "Bash(npm run test:*)",
            "Read(src/**)",
            "WebFetch(domain:docs.rs)",
            "claude-opus-4-20250514",
            "mcp__github__create_issue",
            "Bash(git log --author=ada)",
        ] {
            assert!(!may_be_secret(text), "{text}");
        }
    }
}

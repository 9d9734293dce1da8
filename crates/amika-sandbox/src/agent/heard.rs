//! What an agent tells in a turn, out of the lines of JSON that it writes.
//!
//! All of it is text of the sandbox: bounded, and believed in nothing but what it says of itself. Lines that are no
//! JSON are for people: the last of them explain a turn that came to nothing.

use amika_core::credential::Agent;
use serde_json::Value;

/// What is longer of a line is not looked at.
const LINE: usize = 4 << 20;
/// What is kept of an answer, in bytes.
const ANSWER: usize = 1 << 20;
/// What is kept of lines that are no JSON.
const WORDS: usize = 2 << 10;
/// The longest name of a conversation.
const SESSION: usize = 128;

/// How a turn ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What the agent calls the conversation, by which it goes on.
    pub session: Option<String>,
    /// What it said last.
    pub text: String,
    /// Whether it says that it failed, or ended with another exit code than 0.
    pub is_error: bool,
    /// Whether it failed since it is not signed in.
    pub is_signed_out: bool,
    /// What it says that the turn cost, in US dollars.
    pub cost_usd: Option<f64>,
}

/// Reads along.
#[derive(Debug)]
pub struct Listener {
    agent: Agent,
    line: Vec<u8>,
    is_long: bool,
    answer: Answer,
    words: String,
}

impl Listener {
    /// One who hears this agent.
    pub fn new(agent: Agent) -> Self {
        Self {
            agent,
            line: Vec::new(),
            is_long: false,
            answer: Answer::default(),
            words: String::new(),
        }
    }

    /// Takes what came; what of it the agent says to whoever asked, in pieces.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE.saturating_sub(self.line.len());
            self.is_long |= piece.len() > room;
            self.line.extend(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                said.extend(self.line());
            }
        }
        said
    }

    /// What the agent calls the conversation, once it said so.
    pub fn session(&self) -> Option<&str> {
        self.answer.session.as_deref()
    }

    /// What it comes to, with the program's exit code; none where a signal ended it.
    pub fn end(mut self, exit_code: Option<i32>) -> Answer {
        let _ = self.line();
        let mut answer = self.answer;
        answer.is_error |= exit_code != Some(0);
        if answer.text.is_empty() && answer.is_error {
            self.words.trim().clone_into(&mut answer.text);
        }
        answer.is_signed_out |= answer.is_error && says_signed_out(&answer.text);
        answer
    }

    fn line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let is_long = std::mem::take(&mut self.is_long);
        if is_long || line.is_empty() {
            return None;
        }
        let event = (line[0] == b'{').then(|| serde_json::from_slice::<Value>(&line).ok());
        let Some(Some(event)) = event else {
            self.words.push_str(&String::from_utf8_lossy(&line));
            let over = self.words.len().saturating_sub(WORDS);
            let mut places = over..self.words.len();
            let start = places.find(|at| self.words.is_char_boundary(*at));
            self.words.drain(..start.unwrap_or(0));
            return None;
        };
        let said = match self.agent {
            Agent::Claude => self.claude(&event),
            Agent::Codex => self.codex(&event),
            Agent::OpenCode => self.opencode(&event),
        };
        said.map(|text| cut(&text))
    }

    fn claude(&mut self, event: &Value) -> Option<String> {
        self.is_of(&event["session_id"]);
        match event["type"].as_str()? {
            "assistant" => {
                self.answer.is_signed_out |= event["error"] == "authentication_failed";
                let blocks = event["message"]["content"].as_array()?;
                let texts = blocks.iter().filter_map(|block| block["text"].as_str());
                let text: Vec<&str> = texts.collect();
                (!text.is_empty()).then(|| text.concat())
            }
            "result" => {
                self.answer.text = cut(event["result"].as_str().unwrap_or_default());
                self.answer.is_error = event["is_error"] == true;
                self.answer.is_signed_out |= event["api_error_status"] == 401;
                self.answer.cost_usd = event["total_cost_usd"].as_f64();
                None
            }
            _ => None,
        }
    }

    fn codex(&mut self, event: &Value) -> Option<String> {
        match event["type"].as_str()? {
            "thread.started" => {
                self.is_of(&event["thread_id"]);
                None
            }
            "item.completed" if event["item"]["type"] == "agent_message" => {
                let text = event["item"]["text"].as_str()?;
                self.answer.text = cut(text);
                Some(text.to_owned())
            }
            "turn.failed" => {
                self.answer.is_error = true;
                self.answer.text = cut(event["error"]["message"].as_str().unwrap_or_default());
                None
            }
            _ => None,
        }
    }

    fn opencode(&mut self, event: &Value) -> Option<String> {
        self.is_of(&event["sessionID"]);
        match event["type"].as_str()? {
            "text" => {
                let text = event["part"]["text"].as_str()?;
                self.answer.text = cut(text);
                Some(text.to_owned())
            }
            "step_finish" => {
                let cost = event["part"]["cost"].as_f64();
                let so_far = self.answer.cost_usd.unwrap_or_default();
                self.answer.cost_usd = cost.map(|cost| so_far + cost).or(self.answer.cost_usd);
                None
            }
            "error" => {
                let error = &event["error"];
                self.answer.is_error = true;
                self.answer.is_signed_out |=
                    error["name"] == "ProviderAuthError" || error["data"]["statusCode"] == 401;
                let message = error["data"]["message"].as_str();
                let message = message.or(error["name"].as_str()).unwrap_or_default();
                self.answer.text = cut(message);
                None
            }
            _ => None,
        }
    }

    /// Notes what the agent calls the conversation: a word that can be given back to it.
    fn is_of(&mut self, session: &Value) {
        let is_word = |text: &&str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=SESSION).contains(&text.len())
                && !text.starts_with('-')
                && text.bytes().all(is_plain)
        };
        if self.answer.session.is_none() {
            self.answer.session = session.as_str().filter(is_word).map(str::to_owned);
        }
    }
}

/// The words by which the agents say that nobody is signed in.
fn says_signed_out(text: &str) -> bool {
    [
        "authentication_error",
        "Please run /login",
        "Invalid API key",
        "401 Unauthorized",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(ANSWER))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn heard(agent: Agent, text: &str, code: i32) -> (Vec<String>, Answer) {
        let mut whole = Listener::new(agent);
        let said = whole.take(text.as_bytes());
        let answer = whole.end(Some(code));
        // However it comes.
        let mut pieces = Listener::new(agent);
        let mut again = Vec::new();
        for byte in text.as_bytes() {
            again.extend(pieces.take(std::slice::from_ref(byte)));
        }
        assert_eq!((&again, &pieces.end(Some(code))), (&said, &answer));
        (said, answer)
    }

    #[test]
    fn each_agent_tells_its_session_what_it_says_and_how_it_ended() {
        let claude = concat!(
            r#"{"type":"system","subtype":"init","session_id":"d76a0620-4d63"}"#,
            "\n",
            r#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Write"}]},"session_id":"d76a0620-4d63"}"#,
            "\n",
            r#"{"type":"assistant","message":{"content":[{"type":"text","text":"It is written."}]}}"#,
            "\n",
            r#"{"type":"result","is_error":false,"result":"It is written.","total_cost_usd":0.5,"session_id":"d76a0620-4d63"}"#,
            "\n",
        );
        let codex = concat!(
            "warning: something\n",
            r#"{"type":"thread.started","thread_id":"01a2276a"}"#,
            "\n",
            r#"{"type":"item.completed","item":{"type":"command_execution","command":"ls"}}"#,
            "\n",
            r#"{"type":"item.completed","item":{"type":"agent_message","text":"It is written."}}"#,
            "\n",
        );
        let opencode = concat!(
            r#"{"type":"step_start","sessionID":"ses_dd89"}"#,
            "\n",
            r#"{"type":"step_finish","sessionID":"ses_dd89","part":{"cost":0.25}}"#,
            "\n",
            r#"{"type":"text","sessionID":"ses_dd89","part":{"text":"It is written."}}"#,
            "\n",
            r#"{"type":"step_finish","sessionID":"ses_dd89","part":{"cost":0.25}}"#,
            "\n",
        );
        for (agent, text, session, cost) in [
            (Agent::Claude, claude, "d76a0620-4d63", Some(0.5)),
            (Agent::Codex, codex, "01a2276a", None),
            (Agent::OpenCode, opencode, "ses_dd89", Some(0.5)),
        ] {
            let (said, answer) = heard(agent, text, 0);
            assert_eq!(said, ["It is written."], "{agent}");
            let expected = Answer {
                session: Some(session.to_owned()),
                text: "It is written.".to_owned(),
                is_error: false,
                is_signed_out: false,
                cost_usd: cost,
            };
            assert_eq!(answer, expected, "{agent}");
        }
    }

    #[test]
    fn one_that_is_signed_out_is_told_from_one_that_failed() {
        let out = concat!(
            r#"{"type":"assistant","error":"authentication_failed","message":{"content":[{"type":"text","text":"Not logged in"}]}}"#,
            "\n",
            r#"{"type":"result","is_error":true,"result":"Not logged in · Please run /login"}"#,
        );
        let (_, answer) = heard(Agent::Claude, out, 1);
        assert!(answer.is_error && answer.is_signed_out, "{answer:?}");
        let codex =
            r#"{"type":"turn.failed","error":{"message":"unexpected status 401 Unauthorized: x"}}"#;
        assert!(heard(Agent::Codex, codex, 1).1.is_signed_out);
        let opencode = r#"{"type":"error","error":{"name":"APIError","data":{"message":"no","statusCode":401}}}"#;
        assert!(heard(Agent::OpenCode, opencode, 1).1.is_signed_out);
        let failed = heard(Agent::Codex, "amikad: `codex` not found\n", 127).1;
        assert_eq!(failed.text, "amikad: `codex` not found");
        assert!(failed.is_error && !failed.is_signed_out, "{failed:?}");
        // What it writes about is no failure of its own.
        let talk = r#"{"type":"item.completed","item":{"type":"agent_message","text":"I saw authentication_error"}}"#;
        assert!(!heard(Agent::Codex, talk, 0).1.is_signed_out);
    }

    #[test]
    fn hostile_lines_are_bounded_and_name_no_option() {
        let named = heard(
            Agent::Codex,
            "{\"type\":\"thread.started\",\"thread_id\":\"--last\"}\n",
            0,
        );
        assert_eq!(named.1.session, None);
        let mut listener = Listener::new(Agent::Codex);
        for _ in 0..10 {
            listener.take(&vec![b'x'; 1 << 20]);
        }
        assert!(listener.line.len() <= LINE);
        let words = "é".repeat(5000) + "\n";
        let (_, answer) = heard(Agent::Codex, &words, 1);
        assert!(answer.text.len() <= WORDS, "{}", answer.text.len());
    }
}

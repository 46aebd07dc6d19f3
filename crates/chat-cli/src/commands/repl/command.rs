//! What a line at the prompt means.

use crate::errors::Failure;

/// What `/help` prints.
pub(crate) const HELP: &str = "\
  /retry         answer the last message again, as another branch
  /edit [TEXT]   change the last message and answer it, as another branch
  /continue      let the last answer go on
  /tree          draw the conversation with all its branches
  /goto MSG      go on after another message (ids are in /tree)
  /fork [MSG]    copy the branch into a conversation of its own, and go there
  /model [NAME]  list the models, or choose one for what follows
  /cost          what this conversation has cost so far
  /new           start a new conversation
  /quit          leave; so does Ctrl-D
  Ctrl-C stops an answer and keeps what was said. //text sends /text.
";

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Nothing,
    Say(String),
    Retry,
    Continue,
    Edit(Option<String>),
    Tree,
    Fork(Option<String>),
    Goto(String),
    Model(Option<String>),
    Cost,
    New,
    Help,
    Quit,
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// `unknown_command`, with the way to the list.
    pub(crate) fn read(line: &str) -> Result<Self, Failure> {
        let text = line.trim();
        if text.is_empty() {
            return Ok(Self::Nothing);
        }
        let Some(command) = text.strip_prefix('/') else {
            return Ok(Self::Say(text.to_owned()));
        };
        if command.starts_with('/') {
            return Ok(Self::Say(command.to_owned()));
        }
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = Some(rest.trim()).filter(|rest| !rest.is_empty()).map(str::to_owned);
        Ok(match (name, rest) {
            ("retry", None) => Self::Retry,
            ("continue", None) => Self::Continue,
            ("edit", text) => Self::Edit(text),
            ("tree", None) => Self::Tree,
            ("fork", at) => Self::Fork(at),
            ("goto", Some(at)) => Self::Goto(at),
            ("model", name) => Self::Model(name),
            ("cost", None) => Self::Cost,
            ("new", None) => Self::New,
            ("help", _) => Self::Help,
            ("quit" | "exit", None) => Self::Quit,
            _ => {
                let shown: String = text.chars().take(40).collect();
                return Err(Failure::new("unknown_command", format!("{shown} is no command"))
                    .with_remedy("/help lists them; //text sends a text that begins with /"));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_or_a_command_and_never_a_guess() {
        let some = |text: &str| Some(text.to_owned());
        for (line, meant) in [
            ("", Some(Command::Nothing)),
            ("  hi ", Some(Command::Say("hi".to_owned()))),
            ("//etc", Some(Command::Say("/etc".to_owned()))),
            ("/edit", Some(Command::Edit(None))),
            ("/edit a  b", Some(Command::Edit(some("a  b")))),
            ("/goto", None),
            ("/goto x", Some(Command::Goto("x".to_owned()))),
            ("/retry now", None),
            ("/tee", None),
        ] {
            assert_eq!(Command::read(line).ok(), meant, "{line:?}");
        }
    }
}

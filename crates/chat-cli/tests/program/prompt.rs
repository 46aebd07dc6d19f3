//! The prompt, driven by a pipe and by a terminal of its own.

use std::process::{Command, Stdio};

use crate::support::{Home, Outcome};

#[test]
fn a_dialogue_branches_and_goes_on() {
    let home = Home::new();
    let lines = "hello\n/retry\n/edit goodbye\n/tree\n/cost\n/nonsense\n//slash\n/fork\nin the copy\n/quit\n";
    let outcome = home.run_with_input(&[], lines.as_bytes());
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let answers = "You said: hello\nYou said: hello\nYou said: goodbye\n";
    assert!(outcome.stdout.starts_with(answers), "{outcome:?}");
    for text in ["You said: goodbye", "├─ reply", "3 calls", "You said: /slash", "in the copy"]
    {
        assert!(outcome.stdout.contains(text), "{text}: {outcome:?}");
    }
    for text in ["branch 3 of 3", "error[unknown_command]", "a copy of the branch"] {
        assert!(outcome.stderr.contains(text), "{text}: {outcome:?}");
    }
    assert_eq!(home.json(&["list", "--json"]).len(), 2);
}

#[test]
fn a_conversation_is_resumed_where_it_was_left() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    let id = home.conversation();
    let outcome = home.run_with_input(&["resume"], b"and again\n");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(home.conversation(), id);
    let shown = home.ok(&["show", &id]);
    assert!(shown.contains("You said: hello") && shown.contains("You said: and again"), "{shown}");
}

/// Types into a pseudo-terminal, presses Ctrl-C in the answer and once more at the prompt.
const TYPIST: &str = r#"
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1]])
seen = b""
def wait_for(text):
    global seen
    end = time.time() + 20
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.time()))
        if not ready:
            sys.exit("did not see %r in %r" % (text, seen))
        seen += os.read(terminal, 65536)
    seen = seen[seen.index(text) + len(text):]
wait_for(b"> ")
os.write(terminal, b"word " * 200 + b"\r")
wait_for(b"You said: word word")
os.write(terminal, b"\x03")
wait_for(b"stopping")
wait_for(b"> ")
os.write(terminal, b"\x03")
try:
    while os.read(terminal, 65536):
        pass
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn ctrl_c_keeps_what_was_said_and_a_second_one_leaves() {
    let home = Home::new();
    home.configure("[providers.example]\nkind = \"example\"\ndelay_ms = 30\n");
    // Only for its environment: the typist starts the program itself.
    let like = home.command::<&str>(&[]);
    let mut typist = Command::new("python3");
    typist.args(["-c", TYPIST, env!("CARGO_BIN_EXE_chat")]).env_clear();
    for (name, value) in like.get_envs() {
        typist.env(name, value.unwrap_or_default());
    }
    typist.env("TERM", "xterm").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let child = typist.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let outcome = Outcome::of(child.expect("python3 is there"));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let tree = home.json(&["tree", &home.conversation(), "--json"]);
    let reply = &tree[0]["messages"][1];
    assert_eq!(reply["status"], "partial");
    assert!(reply["parts"][0]["text"].as_str().unwrap().starts_with("You said: word word"));
}

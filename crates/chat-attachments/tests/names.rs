//! A name is a label: whatever is given, nothing in it can act.

use chat_attachments::{LABEL_BYTES_MAX, clean_label};

/// Pieces that have broken programs before.
const PIECES: [&str; 25] = [
    "../",
    "..\\",
    "/",
    "\\",
    "\0",
    ":",
    "C:",
    "\\\\host\\share\\",
    "\u{2215}",
    "\u{2044}",
    "\u{ff0f}",
    "\u{ff3c}",
    "\u{202e}",
    "\u{200b}",
    "\r\n",
    "\u{1b}[31m",
    "CON",
    "nul.txt",
    "$(id)",
    "`id`",
    "|",
    "<script>",
    "...",
    "  ",
    "a",
];

/// 200 names: each piece alone, and before, after and inside others.
fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    for piece in PIECES {
        names.push(format!("{piece}etc{piece}passwd"));
        names.push(format!("{piece}{piece}{piece}report.pdf"));
        names.push(format!("report{piece}.pdf"));
        names.push(format!("report.pdf{piece}"));
        names.push(format!("{}{piece}.txt", "x".repeat(300)));
        names.push(format!("{}{piece}.txt", "\u{1f4a9}".repeat(90)));
        names.push(format!("a{piece}b{piece}c"));
    }
    names
}

#[test]
fn two_hundred_hostile_names_become_labels() {
    let names = hostile_names();
    assert_eq!(names.len(), 200);
    for name in names {
        let label = clean_label(&name);
        assert!(!label.is_empty() && label.len() <= LABEL_BYTES_MAX, "{name:?} -> {label:?}");
        let is_free_of_marks = label.chars().all(|c| {
            !c.is_control()
                && !"/\\:*?\"<>|`$\u{2215}\u{2044}\u{ff0f}\u{ff3c}\u{202e}\u{200b}".contains(c)
        });
        assert!(is_free_of_marks, "{name:?} -> {label:?}");
        assert!(!label.starts_with('.') && !label.ends_with(['.', ' ']), "{name:?} -> {label:?}");
        let stem = label.split('.').next().unwrap().to_lowercase();
        assert!(stem != "con" && stem != "nul", "{name:?} -> {label:?}");
        assert_eq!(clean_label(&label), label, "cleaning a label changes it");
        let joined = std::path::Path::new("/root/of/all").join(&label);
        assert_eq!(joined.parent(), Some("/root/of/all".as_ref()), "{name:?} -> {label:?}");
    }
}

#[test]
fn ordinary_names_stay_as_they_are() {
    for name in ["report.pdf", "Größe & Maß (2).xlsx", "日本語.docx", "README", "a.b.c", "it's.md"]
    {
        assert_eq!(clean_label(name), name);
    }
}

#[test]
fn labels_are_the_last_component() {
    let cases = [
        ("C:\\Users\\me\\plan.docx", "plan.docx"),
        ("/home/me/plan.docx", "plan.docx"),
        ("../../etc/passwd", "passwd"),
        ("folder/", "folder"),
        (".bashrc", "bashrc"),
        ("con.txt", "_con.txt"),
        ("COM1", "_COM1"),
        ("photo\u{202e}gpj.exe", "photogpj.exe"),
        ("", "file"),
        ("..", "file"),
        ("/", "file"),
        ("a:b", "a_b"),
    ];
    for (name, label) in cases {
        assert_eq!(clean_label(name), label, "{name:?}");
    }
}

#[test]
fn a_long_name_keeps_its_extension() {
    let label = clean_label(&format!("{}.docx", "é".repeat(200)));
    assert!(label.len() <= LABEL_BYTES_MAX && label.ends_with("é.docx"), "{label}");
}

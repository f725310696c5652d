//! Who may know whom: the rooms of `src/`, and that no `use` goes against their arrows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up, each with the rooms that it may know. `docs/architecture.md` says
/// why.
const ROOMS: [(&str, &[&str]); 15] = [
    ("browser", &[]),
    ("sampler", &[]),
    ("vocabulary", &[]),
    ("recipe", &["sampler"]),
    ("picture", &["recipe"]),
    // Its tests take their numbers from torch's generator.
    ("metrics", &["sampler", "picture"]),
    ("weights", &["browser", "vocabulary"]),
    ("adapters", &["weights"]),
    ("models", &["weights"]),
    ("history", &["browser", "recipe", "picture"]),
    (
        "protocol",
        &[
            "browser",
            "sampler",
            "vocabulary",
            "recipe",
            "picture",
            "metrics",
            "history",
        ],
    ),
    (
        "engine",
        &[
            "browser",
            "sampler",
            "vocabulary",
            "recipe",
            "picture",
            "metrics",
            "weights",
            "adapters",
            "models",
            "history",
            "protocol",
        ],
    ),
    ("loader", &["browser", "weights", "protocol"]),
    (
        "view",
        &[
            "sampler",
            "vocabulary",
            "recipe",
            "picture",
            "metrics",
            "history",
            "protocol",
        ],
    ),
    (
        "page",
        &[
            "browser",
            "sampler",
            "vocabulary",
            "recipe",
            "picture",
            "metrics",
            "history",
            "protocol",
            "view",
        ],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// The rooms that a text names after `crate::`, with the numbers of the lines.
fn named_rooms(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for rest in line.split("crate::").skip(1) {
            let end = rest
                .find(|character: char| !character.is_ascii_lowercase() && character != '_')
                .unwrap_or(rest.len());
            named.push((index + 1, rest[..end].to_owned()));
        }
        assert!(
            !line.contains("use crate::{"),
            "line {}: a room can't be told from this: {line}",
            index + 1
        );
    }
    named
}

#[test]
fn no_room_knows_one_that_it_may_not_know() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for (room, may_know) in &rooms {
        for file in rust_files(&source().join(room)) {
            let text = fs::read_to_string(&file).expect("the file is text");
            for (line, other) in named_rooms(&text) {
                let is_room = rooms.contains_key(other.as_str());
                if is_room && other != *room && !may_know.contains(&other.as_str()) {
                    wrong.push(format!("{}:{line}: {room} → {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrows_only_go_down_and_every_folder_is_a_room() {
    for (index, (room, may_know)) in ROOMS.iter().enumerate() {
        for other in *may_know {
            assert!(
                ROOMS[..index].iter().any(|(below, _)| below == other),
                "{room} → {other} goes up"
            );
        }
    }
    let mut folders: Vec<String> = fs::read_dir(source())
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.is_dir() && !path.ends_with("bin"))
        .map(|path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into()
        })
        .collect();
    folders.sort();
    let mut rooms: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    rooms.sort_unstable();
    assert_eq!(folders, rooms);
}

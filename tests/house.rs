//! Who may know whom: the rooms of `src/`, that no `use` goes against their arrows, and that no files
//! know each other in a circle.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up, each with the rooms that it may know. `docs/architecture.md` has the
/// same table.
const ROOMS: [(&str, &[&str]); 18] = [
    ("browser", &[]),
    ("sampler", &[]),
    ("vocabulary", &[]),
    ("recipe", &["sampler"]),
    ("picture", &["recipe"]),
    // Its tests take their numbers from torch's generator.
    ("metrics", &["sampler", "picture"]),
    ("results", &["sampler", "recipe", "picture", "metrics"]),
    ("weights", &["browser", "vocabulary"]),
    ("adapters", &["weights"]),
    ("kernels", &["weights"]),
    ("models", &["weights", "kernels"]),
    (
        "history",
        &["browser", "recipe", "picture", "metrics", "results"],
    ),
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
            "results",
            "weights",
            "adapters",
            "kernels",
            "models",
            "history",
            "protocol",
        ],
    ),
    (
        "batch",
        &[
            "sampler", "recipe", "picture", "metrics", "results", "weights", "protocol", "engine",
        ],
    ),
    (
        "loader",
        &["browser", "sampler", "weights", "adapters", "protocol"],
    ),
    (
        "view",
        &[
            "sampler",
            "vocabulary",
            "recipe",
            "picture",
            "metrics",
            "results",
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
            "results",
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

/// The rooms that a text names after `crate::`, each with the number of its line.
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

/// A module's path below the crate.
type Module = Vec<String>;

/// Every module of the library with its text, without comments and tests.
fn modules() -> BTreeMap<Module, String> {
    let read = |file: PathBuf| {
        let path = file.with_extension("");
        let below = path.strip_prefix(source()).expect("it lies below");
        let names = below.iter().map(|name| name.to_string_lossy().into_owned());
        let mut module: Module = names.collect();
        if module.last().is_some_and(|name| name == "mod") {
            module.pop();
        }
        let text = fs::read_to_string(&file).expect("the file is text");
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        (module, code.collect::<Vec<_>>().join(" "))
    };
    let in_rooms = ROOMS
        .iter()
        .flat_map(|(room, _)| rust_files(&source().join(room)));
    in_rooms.map(read).collect()
}

/// The paths that a text names, those in the braces of a `use` spelled out.
fn named_paths(text: &str) -> Vec<Module> {
    let mut paths = Vec::new();
    // The beginnings of paths whose braces are open.
    let mut open: Vec<Module> = Vec::new();
    let mut path: Module = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        if is_name(character) {
            let end = rest.find(|character| !is_name(character));
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            if path.is_empty() {
                path = open.last().cloned().unwrap_or_default();
            }
            path.push(name.to_owned());
            rest = after;
            if rest.starts_with("::") {
                continue;
            }
            paths.push(std::mem::take(&mut path));
        } else if let Some(after) = rest.strip_prefix("::{") {
            open.push(std::mem::take(&mut path));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("::") {
            rest = after;
        } else {
            match character {
                '{' => open.push(Module::new()),
                '}' => drop(open.pop()),
                _ => {}
            }
            path.clear();
            rest = &rest[character.len_utf8()..];
        }
    }
    paths
}

/// The module that a path in `module` leads to, if it is one of this library.
fn target(module: &Module, path: &Module, all: &BTreeMap<Module, String>) -> Option<Module> {
    // Alone they are no paths: `pub(super)`, `self`.
    let [first, _, ..] = path.as_slice() else {
        return None;
    };
    let mut target = match first.as_str() {
        "crate" => path[1..].to_vec(),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let base = &module[..module.len().checked_sub(ups)?];
            [base, &path[ups..]].concat()
        }
        "self" => [module.as_slice(), &path[1..]].concat(),
        // A child by its bare name.
        _ => {
            let child = [module.as_slice(), &path[..1]].concat();
            all.contains_key(&child).then_some(())?;
            [module.as_slice(), path].concat()
        }
    };
    while !all.contains_key(&target) {
        target.pop()?;
    }
    (target != *module).then_some(target)
}

#[test]
fn no_files_know_each_other_in_a_circle() {
    let all = modules();
    let mut known: BTreeMap<&Module, BTreeSet<Module>> = all
        .iter()
        .map(|(module, text)| {
            let paths = named_paths(text);
            let targets = paths.iter().filter_map(|path| target(module, path, &all));
            (module, targets.collect())
        })
        .collect();
    let arrows: usize = known.values().map(BTreeSet::len).sum();
    assert!(
        arrows > all.len(),
        "{arrows} arrows: the paths are not read"
    );
    // Who knows nobody that is left is in no circle.
    loop {
        let (free, bound): (BTreeMap<_, _>, BTreeMap<_, _>) = known
            .into_iter()
            .partition(|(_, targets)| targets.is_empty());
        known = bound;
        if free.is_empty() {
            break;
        }
        for targets in known.values_mut() {
            targets.retain(|target| !free.contains_key(target));
        }
    }
    let left: Vec<String> = known
        .iter()
        .map(|(module, targets)| {
            let targets: Vec<String> = targets.iter().map(|target| target.join("::")).collect();
            format!("{} → {}", module.join("::"), targets.join(", "))
        })
        .collect();
    assert!(
        left.is_empty(),
        "in a circle, or above one:\n{}",
        left.join("\n")
    );
}

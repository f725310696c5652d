//! Readers of what comes from outside meet any bytes: addresses, listings, `Link` headers, indices, tokenizers,
//! safetensors headers and what their files are, files of torch's. They give a value or a sentence, and never panic.
//!
//! Each reader gets sound inputs with random changes. `READER_RUNS` sets how many; the count here takes seconds.

#![expect(
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

use firststep::weights::format::kind::{FileKind, misfit, other_unet};
use firststep::weights::format::safetensors::Header;
use firststep::weights::format::tokenizer_json::vocabulary_and_merges;
use firststep::weights::format::torch_file::{self, MAXIMUM_COPIES, TorchFileError};
use firststep::weights::manifest::hub::{self, ModelAddress};
use firststep::weights::manifest::{Manifest, decoded, without_secrets};

const RUNS: u32 = 20_000;

fn runs() -> u32 {
    let given = std::env::var("READER_RUNS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(RUNS)
}

/// Pseudorandom numbers from a linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// The bytes with a few of them changed, taken out, doubled or put in.
    fn change(&mut self, bytes: &[u8], words: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(changed.len() + 1);
            match self.below(5) {
                0 if at < changed.len() => changed[at] = self.below(256) as u8,
                1 if at < changed.len() => drop(changed.remove(at)),
                2 => changed.truncate(at),
                3 => {
                    let end = at + self.below(changed.len() - at + 1).min(40);
                    let part = changed[at..end].to_vec();
                    changed.splice(at..at, part);
                }
                _ => {
                    let word = words[self.below(words.len())].as_ref();
                    changed.splice(at..at, word.iter().copied());
                }
            }
        }
        changed
    }
}

#[test]
fn addresses_of_any_text_are_read_or_refused() {
    let seeds = [
        "owner/name@refs/pr/1 + other/lora * 0.7",
        "https://huggingface.co/a/b/blob/main/x%20y.safetensors?download=true",
        "https://civitai.com/api/download/models/128713?type=Model&token=0123",
        "https://me:secret@models.example/xl/manifest.json#x",
        "localhost:8080/a.safetensors",
        "urn:air:sdxl:checkpoint:civitai:1@2",
    ];
    let words = [
        "/", "//", "+", " + ", "%2", "@", "://", "..", "é", "模", "?", "tree", "*",
    ];
    let mut random = Random(1);
    for _ in 0..runs() {
        let seed = seeds[random.below(seeds.len())];
        let text = random.change(seed.as_bytes(), &words);
        let text = String::from_utf8_lossy(&text);
        if let Err(error) = ModelAddress::parse(&text) {
            assert!(!error.to_string().is_empty());
        }
        let _ = ModelAddress::parse_for(&text, "http://127.0.0.1:1/");
        let _ = hub::file_at_hub(&text, "https://huggingface.co");
        let _ = hub::next_page(&text, "https://a.example/");
        let _ = (decoded(&text), hub::steps_in_name(&text));
        // What is left has nothing more to leave out.
        let public = without_secrets(&text);
        assert_eq!(without_secrets(&public), public, "{text}");
    }
}

#[test]
fn headers_and_texts_of_any_bytes_are_read_or_refused() {
    let case = |file: &str| {
        let path = format!("{}/tests/cases/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).expect(&path)
    };
    let headers = [
        "10-not-a-base-checkpoint/sd15.safetensors",
        "18-unused-dtypes/fp8.safetensors",
        "26-lycoris/loha.safetensors",
        "02-blob-page/x.safetensors",
    ]
    .map(|file| {
        let mut bytes = case(file);
        bytes.truncate(4096);
        bytes
    });
    let texts = [
        case("28-sharded-unet/tree.json"),
        case("27-tokenizer-json-only/tokenizer.json"),
        br#"{"weight_map": {"a": "model-00001-of-00002.safetensors"}}"#.to_vec(),
    ];
    let words = [
        "\"",
        "{",
        "}",
        "[",
        "9999999999999999999",
        "-1",
        "null",
        "F8_E4M3",
        "U8",
        ".",
    ];
    let config = serde_json::json!({"block_out_channels": [1], "down_block_types": ["CrossAttn"]});
    let mut random = Random(2);
    for _ in 0..runs() {
        let bytes = random.change(&headers[random.0 as usize % headers.len()], &words);
        if let Ok(header) = Header::parse("file", &bytes) {
            let _ = (FileKind::of(&header), misfit(&header, &config));
        }
        let text = random.change(&texts[random.0 as usize % texts.len()], &words);
        let text = String::from_utf8_lossy(&text);
        let _ = (hub::listing("place", &text), vocabulary_and_merges(&text));
        let _ = (Manifest::parse(&text), hub::lfs_pointer(&text));
        if let Ok(value) = serde_json::from_str(&text) {
            let _ = (other_unet(&value), hub::newest_file(&value));
        }
    }
}

/// The members of an archive as torch writes it, with their names: each lies between two marks.
fn members(archive: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let at = |mark: &[u8], from: usize| {
        let found = archive[from..].windows(4).position(|bytes| bytes == mark);
        found.map(|place| place + from)
    };
    let mut members = Vec::new();
    let mut from = 0;
    let bounds = |from| {
        let start = at(b"PK\x03\x04", from)?;
        Some((start, at(b"PK\x07\x08", start)?))
    };
    while let Some((start, end)) = bounds(from) {
        let length = |at: usize| usize::from(u16::from_le_bytes([archive[at], archive[at + 1]]));
        let name_end = start + 30 + length(start + 26);
        let data = archive[name_end + length(start + 28)..end].to_vec();
        members.push((archive[start + 30..name_end].to_vec(), data));
        from = end;
    }
    members
}

/// An archive of stored members, as zip programs write it for small files.
fn archive(members: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let length = (data.len() as u32).to_le_bytes();
        // Its flags, method, time, checksum, lengths, and those of the name and of no further fields.
        let mut common = vec![0; 12];
        common.extend([length, length].concat());
        common.extend((name.len() as u32).to_le_bytes());
        directory.extend([b"PK\x01\x02\x14\0\x14\0", common.as_slice()].concat());
        directory.extend([0; 10]);
        directory.extend((file.len() as u32).to_le_bytes());
        directory.extend(name);
        file.extend([b"PK\x03\x04\x14\0", common.as_slice(), name, data].concat());
    }
    let end = [directory.len() as u32, file.len() as u32].map(u32::to_le_bytes);
    file.extend(directory);
    file.extend(
        [
            b"PK\x05\x06\0\0\0\0",
            [members.len() as u8, 0].repeat(2).as_slice(),
        ]
        .concat(),
    );
    file.extend(end.concat());
    file.extend([0; 2]);
    file
}

#[test]
fn files_of_torch_of_any_bytes_are_read_or_refused() {
    let seeds = [
        "slider",
        "views",
        "dtypes",
        "checkpoint",
        "protocol-5",
        "calls-system",
    ]
    .map(|file| {
        let path = format!(
            "{}/tests/parity/values/torch_files/{file}.pt",
            env!("CARGO_MANIFEST_DIR")
        );
        let bytes = std::fs::read(&path).expect(&path);
        (members(&bytes), bytes)
    });
    let words: [&[u8]; 24] = [
        b"cos\nsystem\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nHalfStorage\n",
        b"X\x01\0\0\0a",
        b"(",
        b"t",
        b"}",
        b")",
        b"]",
        b"R",
        b"Q",
        b"b",
        b"s",
        b"u",
        b"a",
        b"q\0",
        b"h\0",
        b"h\x0f",
        b"\x85",
        b"\x86",
        b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"J\xff\xff\xff\xff",
        b"PK\x05\x06",
        b"PK\x03\x04",
    ];
    let mut random = Random(3);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..runs() {
        let (members, whole) = &seeds[random.below(seeds.len())];
        let bytes = match random.below(4) {
            0 => random.change(whole, &words),
            _ => {
                let mut members = members.clone();
                // The first one is the pickle, which is where there is most to go wrong.
                let changed = match random.below(4) {
                    0 => random.below(members.len()),
                    _ => 0,
                };
                members[changed].1 = random.change(&members[changed].1, &words);
                archive(&members)
            }
        };
        match torch_file::read("file", &bytes) {
            Ok(file) => {
                read += 1;
                let length: u64 = file.tensors.iter().map(|tensor| tensor.length()).sum();
                assert!(length <= MAXIMUM_COPIES * bytes.len() as u64);
                for tensor in &file.tensors {
                    let range = tensor.range.start as usize..tensor.range.end as usize;
                    let values = tensor.row_major(bytes[range].to_vec()).expect("its values");
                    assert_eq!(values.len() as u64, tensor.length());
                }
                let Ok(parts) = file.to_safetensors("file") else {
                    continue;
                };
                assert!(parts.header.len() < 64 * bytes.len());
                if let Ok(header) = Header::parse("file", &parts.header) {
                    let whole = parts.header.len() as u64 + length;
                    assert_eq!(header.check_length("file", whole), Ok(()));
                }
            }
            Err(error) => {
                refused += u32::from(matches!(error, TorchFileError::Forbidden { .. }));
                assert!(!error.to_string().is_empty());
            }
        }
    }
    // It reaches what it is to try.
    assert!(
        read > runs() / 20 && refused > runs() / 20,
        "{read} {refused}"
    );
}

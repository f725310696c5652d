//! Texts and files of any content, made of what readers look for: whatever comes out, nothing panics.
//!
//! `FUZZ_RUNS=1000000` in the environment runs it longer than the tests do.

use super::find_recipe;
use super::tests::crc;
use super::{FoundRecipe, exif, jpeg, png, webp};
use crate::recipe::foreign::comfy_ui::graph::Graph;
use crate::recipe::foreign::read_parameters::ReadParameters;
use crate::recipe::foreign::{comfy_ui, plain_json};
use crate::recipe::prompt_syntax;
use crate::recipe::random::Random;
use crate::recipe::taken_over::TakenOver;

const RUNS: usize = 100_000;

/// What texts are made of, beside letters of any kind.
const WORDS: [&str; 40] = [
    "Steps: 20, ",
    "Seed: 7",
    ", Size: 8x8",
    "CFG scale: ",
    "Negative prompt:",
    "\n",
    "\"",
    "\\",
    ":",
    ",",
    "(a:1.2)",
    "[",
    "]",
    "BREAK",
    "<lora:a:1>",
    "embedding:b",
    "TI hashes: \"",
    "Firststep mode: ",
    "{\"prompt\":",
    "\"a\"",
    "}",
    "{",
    "[1,",
    "null",
    "NaN",
    "-Infinity",
    "\"class_type\":\"KSampler\"",
    "\"inputs\":{",
    "\"positive\":[\"1\",0]",
    "\"steps\":5",
    "\"seed\":-1",
    "\"nodes\":[",
    "\"links\":[[1,2]]",
    "\"widgets_values\":",
    "\"sui_image_params\":",
    "\"1\":",
    "漢",
    "🍎",
    "é",
    "\u{0}",
];

/// Texts that are read right, to be damaged.
const WHOLE: [&str; 5] = [
    "a (cat:1.2)\nNegative prompt: b\nSteps: 25, Sampler: Euler a, CFG scale: 6, Seed: 11, Size: 8x8",
    r#"{"3":{"class_type":"KSampler","inputs":{"seed":1,"steps":2,"cfg":3,"positive":["6",0],"negative":["7",0],"latent_image":["5",0]}},"6":{"class_type":"CLIPTextEncode","inputs":{"text":"a"}},"7":{"class_type":"ConditioningConcat","inputs":{"conditioning_to":["6",0],"conditioning_from":["6",0]}},"5":{"class_type":"EmptyLatentImage","inputs":{"width":8,"height":8}}}"#,
    r#"{"nodes":[{"id":1,"type":"KSampler","widgets_values":[1,"fixed",2,3],"inputs":[{"name":"positive","link":1},{"name":"negative","link":1}]},{"id":2,"type":"CLIPTextEncode","widgets_values":["a"]}],"links":[[1,2,0,1,0,"X"]]}"#,
    r#"{"sui_image_params":{"prompt":"a","seed":1,"steps":2,"cfgscale":3,"width":8,"height":8}}"#,
    r#"{"Comment":"{\"prompt\":\"a\",\"uc\":\"b\",\"seed\":1}","Software":"NovelAI"}"#,
];

fn text(random: &mut Random) -> String {
    if random.below(2) == 0 {
        let count = random.below(30);
        return (0..count)
            .map(|_| WORDS[random.below(WORDS.len())])
            .collect();
    }
    let mut text: Vec<char> = WHOLE[random.below(WHOLE.len())].chars().collect();
    for _ in 0..random.below(4) {
        let at = random.below(text.len());
        let word: Vec<char> = WORDS[random.below(WORDS.len())].chars().collect();
        let end = (at + random.below(4)).min(text.len());
        text.splice(at..end, word);
    }
    text.into_iter().collect()
}

/// A number of EXIF that is mostly small enough to be a place in the file.
fn place(random: &mut Random) -> [u8; 4] {
    match random.below(8) {
        0 => u32::MAX.to_be_bytes(),
        1 => (random.next() as u32).to_be_bytes(),
        _ => (random.below(120) as u32).to_be_bytes(),
    }
}

/// EXIF with one text that is where its entry says.
fn whole_exif(random: &mut Random) -> Vec<u8> {
    let mut value = b"UNICODE\0".to_vec();
    value.extend(text(random).encode_utf16().flat_map(u16::to_be_bytes));
    let mut bytes = b"MM\0*\0\0\0\x08\0\x01\x92\x86\0\x07".to_vec();
    bytes.extend((value.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, 22]);
    bytes.extend(value);
    bytes
}

fn exif_bytes(random: &mut Random) -> Vec<u8> {
    if random.below(3) == 0 {
        return whole_exif(random);
    }
    let tags: [u16; 7] = [0x9286, 0x8769, 0x010E, 0x010F, 0x0110, 0x0131, 7];
    let mut bytes = if random.below(8) == 0 {
        random.bytes(8)
    } else {
        b"MM\0*\0\0\0\x08".to_vec()
    };
    let count = random.below(5) as u16;
    bytes.extend(count.to_be_bytes());
    for _ in 0..random.below(6) {
        bytes.extend(tags[random.below(tags.len())].to_be_bytes());
        bytes.extend([0, random.below(9) as u8]);
        bytes.extend(place(random));
        bytes.extend(place(random));
    }
    let marks: [&[u8]; 5] = [b"UNICODE\0", b"ASCII\0\0\0", &[0; 8], b"prompt:", b""];
    bytes.extend(marks[random.below(marks.len())]);
    let own = text(random);
    if random.below(2) == 0 {
        bytes.extend(own.encode_utf16().flat_map(u16::to_be_bytes));
    } else {
        bytes.extend(own.into_bytes());
    }
    bytes
}

/// The bytes that a file's own readers are given, behind a mark that they know.
fn content(random: &mut Random) -> Vec<u8> {
    let keywords = [
        "parameters",
        "prompt",
        "workflow",
        "Comment",
        "Software",
        "invokeai_metadata",
    ];
    let keyword = keywords[random.below(keywords.len())];
    let marks = ["\0", "\0\0\0\0\0", "\0\x01\0\0\0", "\0\0", ""];
    let mark = marks[random.below(marks.len())];
    match random.below(3) {
        0 => exif_bytes(random),
        1 => format!("{keyword}{mark}{}", text(random)).into_bytes(),
        _ => {
            let length = random.below(40);
            random.bytes(length)
        }
    }
}

fn png_file(random: &mut Random) -> Vec<u8> {
    let kinds = [b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"IDAT", b"IEND"];
    let mut file = png::SIGNATURE.to_vec();
    let mut push = |kind: &[u8; 4], data: &[u8]| {
        file.extend((data.len() as u32).to_be_bytes());
        let start = file.len();
        file.extend(kind);
        file.extend(data);
        let checksum = crc(&file[start..]);
        file.extend(checksum.to_be_bytes());
    };
    push(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
    for _ in 0..random.below(5) {
        push(kinds[random.below(kinds.len())], &content(random));
    }
    push(b"IEND", &[]);
    file
}

fn jpeg_file(random: &mut Random) -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    for _ in 0..1 + random.below(4) {
        let marker = [0xE1, 0xFE, 0xE0, 0xFF, 0xDA, 0xD9][random.below(6)];
        let mut data = if marker == 0xE1 {
            b"Exif\0\0".to_vec()
        } else {
            Vec::new()
        };
        data.extend(content(random));
        let length = match random.below(8) {
            0 => random.below(1 << 16),
            _ => data.len() + 2,
        };
        file.extend([0xFF, marker]);
        file.extend((length as u16).to_be_bytes());
        file.extend(data);
    }
    file.extend([0xFF, 0xDA]);
    file
}

fn webp_file(random: &mut Random) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    for _ in 0..random.below(4) {
        let name = [b"EXIF", b"EXIF", b"VP8 ", b"XMP "][random.below(4)];
        let mut data = content(random);
        if data.len() % 2 == 1 {
            data.push(0);
        }
        let length = match random.below(8) {
            0 => random.next() as u32,
            _ => data.len() as u32,
        };
        file.extend(name);
        file.extend(length.to_le_bytes());
        file.extend(data);
    }
    file
}

#[test]
fn nothing_that_is_read_panics() {
    let runs = std::env::var("FUZZ_RUNS").ok();
    let runs = runs.and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let mut random = Random(31);
    let mut found = [0; 3];
    for _ in 0..runs {
        let own = text(&mut random);
        let mut read = vec![ReadParameters::parse(&own)];
        read.extend(plain_json::read(None, &own));
        read.extend(Graph::of_prompt(&own).map(|graph| comfy_ui::read(&graph)));
        read.extend(comfy_ui::graph_of_workflow(&own).map(|graph| comfy_ui::read(&graph)));
        for read in &read {
            TakenOver::of(read);
        }
        prompt_syntax::weighted(&own);
        exif::texts(&exif_bytes(&mut random));
        let (kind, mut file) = match random.below(3) {
            0 => (0, png_file(&mut random)),
            1 => (1, jpeg_file(&mut random)),
            _ => (2, webp_file(&mut random)),
        };
        if random.below(4) == 0 {
            let at = random.below(file.len());
            file[at] ^= random.next() as u8;
        }
        if random.below(8) == 0 {
            file.truncate(random.below(file.len() + 1));
        }
        if let Ok(FoundRecipe::Parameters(_)) = find_recipe(&file) {
            found[kind] += 1;
        }
        let _ = (jpeg::texts(&file), webp::texts(&file));
    }
    // It reaches what it is to try.
    assert!(found.iter().all(|count| *count > runs / 1000), "{found:?}");
}

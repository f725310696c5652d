//! Pictures of this page and of others, whole, damaged and made up.

use ::png::chunk;
use ::png::text_metadata::{ITXtChunk, TEXtChunk, ZTXtChunk};

use super::png::SIGNATURE;
use super::*;
use crate::picture::image::{ImageView, PixelFormat};
use crate::picture::png_file::{Texts, encode};
use crate::picture::png_text::{MAXIMUM_TEXT_BYTES, PARAMETERS_KEY, RECIPE_KEY};
use crate::recipe::PromptReading;
use crate::recipe::foreign::read_parameters::ReadSampler;
use crate::recipe::generation_parameters::GenerationParameters;
use crate::recipe::random::Random;

const RECIPE: &str = r#"{"prompt":"ein Äpfel 🍎, 漢字, עברית","seed":7}"#;

fn parameters(prompt: &str) -> String {
    let parameters = GenerationParameters {
        prompt: prompt.into(),
        negative_prompt: "worm".into(),
        steps: 4,
        sampler: "LCM".into(),
        guidance_scale: 1.0,
        seed: 7,
        width: 3,
        height: 2,
        model: "emoji".into(),
        further: vec![],
    };
    parameters.to_string()
}

fn encoded(recipe: &str, parameters: Option<&str>) -> Vec<u8> {
    let pixels: Vec<u8> = (0..24).map(|value| value * 10).collect();
    let picture = ImageView::new(3, 2, PixelFormat::Rgba, &pixels).unwrap();
    encode(
        picture,
        Texts {
            recipe: Some(recipe),
            parameters,
        },
    )
    .unwrap()
}

/// A PNG of one pixel with whatever chunks a test writes before and after the pixel.
fn with_chunks(
    before: impl FnOnce(&mut ::png::Writer<&mut Vec<u8>>),
    after: impl FnOnce(&mut ::png::Writer<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ::png::Encoder::new(&mut file, 1, 1).write_header().unwrap();
    before(&mut writer);
    writer.write_image_data(&[9]).unwrap();
    after(&mut writer);
    writer.finish().unwrap();
    file
}

fn with_itxt(keyword: &str, text: &str, compressed: bool) -> Vec<u8> {
    with_chunks(
        |writer| {
            let mut chunk = ITXtChunk::new(keyword, text);
            chunk.compressed = compressed;
            writer.write_text_chunk(&chunk).unwrap();
        },
        |_| {},
    )
}

/// CRC-32 as the PNG specification's annex defines it.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn pixels_and_texts_come_back() {
    let mut random = Random(4);
    for _ in 0..60 {
        let format = [PixelFormat::Rgb, PixelFormat::Rgba][random.below(2)];
        let (width, height) = (1 + random.below(40), 1 + random.below(40));
        let pixels = random.bytes(width * height * format.channels());
        let picture = ImageView::new(width as u32, height as u32, format, &pixels).unwrap();
        let file = encode(
            picture,
            Texts {
                recipe: Some(RECIPE),
                parameters: Some(&parameters("apple")),
            },
        )
        .unwrap();

        let mut reader = ::png::Decoder::new(std::io::Cursor::new(&file))
            .read_info()
            .unwrap();
        let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut decoded).unwrap();
        assert_eq!((frame.width, frame.height), picture.size());
        assert_eq!(decoded, pixels);
        let text = &reader.info().uncompressed_latin1_text[0];
        assert_eq!(text.keyword, PARAMETERS_KEY);
        assert_eq!(text.text, parameters("apple"));
        assert_eq!(
            find_recipe(&file),
            Ok(FoundRecipe::Recipe(RECIPE.to_owned()))
        );
    }
}

#[test]
fn any_text_is_a_recipe_that_comes_back() {
    let alphabet: Vec<char> = "a\"{}[]:,\\\n\t é漢🍎\u{200d}\u{10ffff}".chars().collect();
    let mut random = Random(5);
    for _ in 0..300 {
        let recipe = random.text(&alphabet, 200);
        assert_eq!(
            find_recipe(&encoded(&recipe, None)),
            Ok(FoundRecipe::Recipe(recipe))
        );
    }
}

#[test]
fn parameters_beyond_latin_1_are_utf_8() {
    for (prompt, is_latin_1) in [
        ("crème ÿ", true),
        ("Ā", false),
        ("🍎", false),
        ("a\0b", true),
    ] {
        let file = encoded(RECIPE, Some(&parameters(prompt)));
        let reader = ::png::Decoder::new(std::io::Cursor::new(&file))
            .read_info()
            .unwrap();
        let info = reader.info();
        assert_eq!(info.uncompressed_latin1_text.len(), usize::from(is_latin_1));
        let text = match info.uncompressed_latin1_text.first() {
            Some(text) => text.text.clone(),
            None => info.utf8_text[1].get_text().unwrap(),
        };
        assert_eq!(text, parameters(prompt).replace('\0', ""));
    }
}

#[test]
fn parameters_alone_are_read() {
    let text = parameters("crème, brûlée");
    let expected = Ok(FoundRecipe::Parameters(ReadParameters {
        prompt: "crème, brûlée".into(),
        negative_prompt: "worm".into(),
        seed: Some(7),
        steps: Some(4),
        guidance: Some(1.0),
        sampler: ReadSampler::of("LCM", None),
        size: Some((3, 2)),
        reading: PromptReading {
            long: true,
            weighted: true,
        },
        ..ReadParameters::default()
    }));
    let latin_1 = TEXtChunk::new(PARAMETERS_KEY, text.clone());
    let compressed = ZTXtChunk::new(PARAMETERS_KEY, text.clone());
    assert_eq!(
        find_recipe(&with_itxt(PARAMETERS_KEY, &text, false)),
        expected
    );
    assert_eq!(
        find_recipe(&with_itxt(PARAMETERS_KEY, &text, true)),
        expected
    );
    for file in [
        with_chunks(|writer| writer.write_text_chunk(&latin_1).unwrap(), |_| {}),
        with_chunks(|_| {}, |writer| writer.write_text_chunk(&latin_1).unwrap()),
        with_chunks(
            |_| {},
            |writer| writer.write_text_chunk(&compressed).unwrap(),
        ),
    ] {
        assert_eq!(find_recipe(&file), expected);
    }
}

#[test]
fn the_recipe_is_preferred_to_parameters_wherever_it_lies() {
    let found = Ok(FoundRecipe::Recipe(RECIPE.to_owned()));
    let latin_1 = TEXtChunk::new(PARAMETERS_KEY, "apple");
    let recipe = ITXtChunk::new(RECIPE_KEY, RECIPE);
    let file = with_chunks(
        |writer| writer.write_text_chunk(&latin_1).unwrap(),
        |writer| writer.write_text_chunk(&recipe).unwrap(),
    );
    assert_eq!(find_recipe(&file), found);
    assert_eq!(find_recipe(&with_itxt(RECIPE_KEY, RECIPE, true)), found);
}

#[test]
fn a_png_without_a_recipe_says_so() {
    for file in [
        with_chunks(|_| {}, |_| {}),
        with_itxt("Title", RECIPE, false),
        with_itxt("firststep:recipes", RECIPE, false),
        with_itxt(PARAMETERS_KEY, " \n", false),
    ] {
        assert_eq!(find_recipe(&file), Err(FindError::NoRecipe));
    }
    // Nobody is told that the file was converted where it wasn't.
    for (keyword, text) in [
        ("Comment", "a walk by the sea"),
        (PARAMETERS_KEY, r#"{"seed": 7}"#),
        ("prompt", "{"),
    ] {
        let names = keyword.to_owned();
        let found = find_recipe(&with_itxt(keyword, text, false));
        assert_eq!(found, Err(FindError::UnknownForm { names }), "{text}");
    }
}

#[test]
fn other_files_are_no_pictures() {
    for file in [
        &b""[..],
        b"\x89PNG",
        b"\xff\xd8",
        b"RIFF\x10\x00\x00\x00WAVEfmt ",
        b"{\"prompt\":\"apple\"}",
        &[0; 4096],
    ] {
        assert_eq!(find_recipe(file), Err(FindError::NotPicture));
    }
}

#[test]
fn a_flipped_byte_never_changes_what_is_found() {
    let only_parameters = with_itxt(PARAMETERS_KEY, &parameters("漢"), false);
    for file in [encoded(RECIPE, Some(&parameters("apple"))), only_parameters] {
        let right = find_recipe(&file).unwrap();
        for index in 0..file.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut flipped = file.clone();
                flipped[index] ^= flip;
                if let Ok(found) = find_recipe(&flipped) {
                    assert_eq!(found, right, "byte {index} ^ {flip}");
                }
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_whole_in_its_text() {
    let file = encoded(RECIPE, None);
    let right = Ok(FoundRecipe::Recipe(RECIPE.to_owned()));
    for end in 8..file.len() {
        let found = find_recipe(&file[..end]);
        assert!(
            found == right || found == Err(FindError::CutOff),
            "{found:?}"
        );
    }
    assert_eq!(find_recipe(&file[..60]), Err(FindError::CutOff));

    let without = with_chunks(|_| {}, |_| {});
    for end in 8..without.len() {
        assert_eq!(find_recipe(&without[..end]), Err(FindError::CutOff));
    }
}

#[test]
fn a_wrong_checksum_of_the_text_is_damage() {
    let mut file = with_itxt(RECIPE_KEY, RECIPE, false);
    let text = RECIPE.as_bytes();
    let at = file
        .windows(text.len())
        .position(|window| window == text)
        .unwrap();
    file[at + text.len()] ^= 1;
    let error = find_recipe(&file).unwrap_err();
    assert!(matches!(error, FindError::Damaged { .. }), "{error}");
    assert!(!error.to_string().contains(".)"), "{error}");
}

#[test]
fn text_that_is_no_utf_8_or_does_not_inflate_is_damage() {
    let texts: [(&str, &[u8]); 2] = [
        ("\0\0\0\0\0", &[0xff, 0xfe]),
        ("\0\x01\0\0\0", b"not a zlib stream"),
    ];
    for (fields, text) in texts {
        let mut data = format!("{RECIPE_KEY}{fields}").into_bytes();
        data.extend(text);
        let file = with_chunks(
            |writer| writer.write_chunk(chunk::iTXt, &data).unwrap(),
            |_| {},
        );
        let error = find_recipe(&file).unwrap_err();
        assert!(matches!(error, FindError::Damaged { .. }), "{error}");
    }
}

#[test]
fn texts_are_bounded() {
    let long = "a".repeat(MAXIMUM_TEXT_BYTES);
    assert_eq!(
        find_recipe(&with_itxt(RECIPE_KEY, &long, true)),
        Ok(FoundRecipe::Recipe(long.clone()))
    );
    let longer = "a".repeat(MAXIMUM_TEXT_BYTES + 1);
    for file in [
        with_itxt(RECIPE_KEY, &longer, false),
        with_itxt(PARAMETERS_KEY, &longer, false),
        // Of another keyword, but more than is read of any file.
        with_itxt("Comment", &"a".repeat(17 << 20), false),
    ] {
        assert_eq!(find_recipe(&file), Err(FindError::TooMuchText));
    }
    // 24 MB of text in 24 kB of file.
    let bomb = with_itxt(RECIPE_KEY, &"a".repeat(24 << 20), true);
    assert!(bomb.len() < 1 << 20);
    let error = find_recipe(&bomb).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn the_size_that_a_file_claims_costs_nothing() {
    let mut file = with_itxt(RECIPE_KEY, RECIPE, false);
    // The header: width and height at 16, its checksum at 29.
    file[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let checksum = crc(&file[12..29]);
    file[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(
        find_recipe(&file),
        Ok(FoundRecipe::Recipe(RECIPE.to_owned()))
    );
}

/// Damage that the checksums don't show: what lies in a chunk is anything, and chunks are of
/// any kind.
#[test]
fn chunks_of_any_content_never_panic() {
    let kinds = [
        chunk::IHDR,
        chunk::PLTE,
        chunk::IDAT,
        chunk::IEND,
        chunk::tRNS,
        chunk::pHYs,
        chunk::acTL,
        chunk::fcTL,
        chunk::fdAT,
        chunk::iCCP,
        chunk::eXIf,
        chunk::sBIT,
        chunk::bKGD,
        chunk::tEXt,
        chunk::zTXt,
        chunk::iTXt,
    ];
    let mut random = Random(6);
    for _ in 0..5000 {
        let mut file = SIGNATURE.to_vec();
        let mut push = |kind: [u8; 4], data: &[u8]| {
            file.extend((data.len() as u32).to_be_bytes());
            let start = file.len();
            file.extend(kind);
            file.extend(data);
            let checksum = crc(&file[start..]);
            file.extend(checksum.to_be_bytes());
        };
        push(*b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 6, 0, 0, 0]);
        for _ in 0..random.below(6) {
            let kind = kinds[random.below(kinds.len())];
            let length = [0, 1, 4, 8, 13, 26, 40][random.below(7)];
            let mut data = random.bytes(length);
            if random.below(2) == 0 {
                data = [RECIPE_KEY.as_bytes(), &data].concat();
            }
            // Separators are rare among random bytes.
            for byte in &mut data {
                if random.below(4) == 0 {
                    *byte = random.below(2) as u8;
                }
            }
            push(kind.0, &data);
        }
        // Any outcome but a panic.
        let _ = find_recipe(&file);
    }
}

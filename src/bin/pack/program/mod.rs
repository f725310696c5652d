//! The arguments of `pack`: whether it packs pairs or a network that measures pictures, or prints a layout.

mod files;
mod layout;
mod model_files;
mod pairs;
mod perceptual;

use std::path::PathBuf;

use layout::Kind;
use pairs::Arguments;

const USAGE: &str = "Usage: pack <models> <output> --pair <pair.json> [--pair <relative.json> …] \
    [--vocabulary <vocabulary.json>]\n       pack layout <config.json> [--lora <rank> | --checkpoint]\n       \
    pack perceptual <weights.safetensors> <manifest.json> <output>\n\
    <models> is a folder in diffusers' layout with unet, unet_distilled, text_encoder, \
    text_encoder_2, vae, tokenizer, tokenizer_2, scheduler and scheduler_distilled. A relative \
    with \"distilled\": \"lightning\" takes unet_lightning and scheduler_lightning instead.";

/// The command that the arguments name.
enum Command {
    /// Packs pairs.
    Pairs(Arguments),
    /// Packs a network that measures pictures.
    Perceptual(perceptual::Arguments),
    /// Prints the layout of the model with this config.
    Layout(String, Kind),
}

/// Carries out the command of the arguments; an error is a sentence.
pub fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    match parse(arguments)? {
        Command::Pairs(arguments) => pairs::run(arguments),
        Command::Perceptual(arguments) => perceptual::run(&arguments),
        Command::Layout(config, kind) => {
            println!("{}", layout::run(&config, &kind)?);
            Ok(())
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.peekable();
    if arguments.next_if(|argument| argument == "layout").is_some() {
        parse_layout(arguments)
    } else if arguments
        .next_if(|argument| argument == "perceptual")
        .is_some()
    {
        let paths: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
        let paths: Result<[PathBuf; 3], _> = paths.try_into();
        let [weights, description, output] = paths.map_err(|_| USAGE)?;
        Ok(Command::Perceptual(perceptual::Arguments {
            weights,
            description,
            output,
        }))
    } else {
        parse_pairs(arguments)
    }
}

fn parse_layout(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (config, kind) = match arguments.as_slice() {
        [config] => (config, Kind::Component),
        [config, "--checkpoint"] => (config, Kind::Checkpoint),
        [config, "--lora", rank] => match rank.parse() {
            Ok(rank) if rank > 0 => (config, Kind::Lora(rank)),
            _ => return Err(USAGE.into()),
        },
        _ => return Err(USAGE.into()),
    };
    Ok(Command::Layout((*config).to_owned(), kind))
}

fn parse_pairs(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut folders = Vec::new();
    let mut pairs = Vec::new();
    let mut vocabulary = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--pair" => pairs.push(PathBuf::from(arguments.next().ok_or(USAGE)?)),
            "--vocabulary" => {
                vocabulary = Some(PathBuf::from(arguments.next().ok_or(USAGE)?));
            }
            option if option.starts_with('-') => return Err(USAGE.into()),
            _ => folders.push(PathBuf::from(argument)),
        }
    }
    match <[PathBuf; 2]>::try_from(folders) {
        Ok([models, output]) if !pairs.is_empty() => Ok(Command::Pairs(Arguments {
            models,
            output,
            pairs,
            vocabulary,
        })),
        _ => Err(USAGE.into()),
    }
}

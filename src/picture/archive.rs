//! Several files in one: a ZIP whose files are stored as they are, since PNG is compressed already.

use std::io::{Cursor, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Puts files into a ZIP, by their names and in this order.
///
/// # Errors
/// Two files have one name, or all of them are longer than a ZIP can be.
pub fn archive<'a>(
    files: impl IntoIterator<Item = (&'a str, Vec<u8>)>,
) -> Result<Vec<u8>, ZipError> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(name, options)?;
        archive.write_all(&bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use zip::ZipArchive;

    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let files = [("a.png", vec![1, 2, 3]), ("grid.csv", b"a,b\r\n".to_vec())];
        let bytes = archive(files.clone()).expect("two files");
        let mut read = ZipArchive::new(Cursor::new(bytes)).expect("a ZIP");
        assert_eq!(read.len(), 2);
        for (name, content) in files {
            let mut found = Vec::new();
            let mut file = read.by_name(name).expect("a file");
            file.read_to_end(&mut found).expect("its bytes");
            assert_eq!(found, content);
        }
    }

    #[test]
    fn two_files_of_one_name_are_an_error() {
        assert!(archive([("a", vec![1]), ("a", vec![2])]).is_err());
    }
}

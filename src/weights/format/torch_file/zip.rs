//! The archive around a state dict: a zip file whose members are stored, not compressed.
//!
//! After PKWARE's APPNOTE, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (ends)
//! and 4.5.3 (64-bit sizes), of which this reads what torch and zip programs write for one file.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::Cursor;
use super::error::{MAXIMUM_DIRECTORY_LENGTH, TorchFileError, shown};

/// The member with the pickle, inside the archive's one folder.
pub(super) const PICKLE: &str = "data.pkl";

/// The member that tells the byte order; archives of earlier versions have none, and are little-endian.
pub(super) const BYTE_ORDER: &str = "byteorder";

/// The folder of the storages.
const STORAGES: &str = "data/";

const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const ENTRY_SIGNATURE: u32 = 0x0201_4b50;
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END64_SIGNATURE: u32 = 0x0606_4b50;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;

const LOCAL_LENGTH: u64 = 30;
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
const END64_LENGTH: usize = 56;
const LONGEST_COMMENT: usize = u16::MAX as usize;

/// A number of 32 bits in whose place one of 64 bits stands elsewhere.
const ELSEWHERE: u64 = u32::MAX as u64;

/// The field of a directory's entry with its 64-bit numbers.
const EXTRA64: u16 = 1;

const STORED: u16 = 0;
const ENCRYPTED: u16 = 1;

/// Local headers that lie within so many bytes are read together.
const WINDOW: u64 = 1024 * 1024;

/// Where the table of contents lies.
pub(super) struct Directory {
    /// Its bytes.
    pub(super) range: Range<u64>,
    /// How many members it lists.
    count: u64,
}

/// A member that is of use here.
struct Member {
    /// Its name with the folder.
    name: String,
    /// Where its local header begins.
    header: u64,
    /// Its length in bytes.
    length: u64,
    is_packed: bool,
}

/// The members of an archive that are of use here, whose local headers are yet to be read.
pub(super) struct Contents {
    /// The archive's one folder, with a slash.
    folder: String,
    /// In the order of their bytes.
    members: Vec<Member>,
    /// How many of the local headers have been read.
    read: usize,
    /// Where the last member that has been read ends.
    end: u64,
    /// Where the directory begins: all members end before it.
    limit: u64,
    ranges: BTreeMap<String, Range<u64>>,
}

fn malformed(file: &str, reason: impl Into<String>) -> TorchFileError {
    TorchFileError::Archive {
        file: file.into(),
        reason: reason.into(),
    }
}

/// The last bytes of an archive of this size, in which its end is looked for.
pub(super) fn tail(size: u64) -> Range<u64> {
    let longest = END64_LENGTH + LOCATOR_LENGTH + END_LENGTH + LONGEST_COMMENT;
    size.saturating_sub(longest as u64)..size
}

impl Directory {
    /// Finds the directory by the [`tail`] of an archive.
    pub(super) fn find(file: &str, size: u64, tail: &[u8]) -> Result<Self, TorchFileError> {
        let cut_off = || TorchFileError::CutOff { file: file.into() };
        let end = (0..=tail.len().saturating_sub(END_LENGTH))
            .rev()
            .find(|&at| is_end(tail, at))
            .ok_or_else(cut_off)?;
        let start = size - tail.len() as u64;
        let directory = Directory::of_end(tail, end, start)
            .ok_or_else(|| malformed(file, "its end is not where it should be"))?;
        if directory.range.end > start + end as u64 {
            return Err(malformed(file, "its directory is not where it should be"));
        }
        let length = directory.range.end - directory.range.start;
        if length > MAXIMUM_DIRECTORY_LENGTH {
            return Err(TorchFileError::TooLong {
                file: file.into(),
                part: "table of contents",
                length,
                maximum: MAXIMUM_DIRECTORY_LENGTH,
            });
        }
        Ok(directory)
    }

    /// The directory by its end at that place of a tail, which begins at `start` in the file.
    fn of_end(tail: &[u8], end: usize, start: u64) -> Option<Self> {
        let mut record = Cursor::new(tail.get(end..)?);
        record.take(10)?;
        let mut count = u64::from(record.u16()?);
        let mut length = u64::from(record.u32()?);
        let mut offset = u64::from(record.u32()?);
        let locator = end.checked_sub(LOCATOR_LENGTH);
        let locator = locator.and_then(|at| tail.get(at..end));
        if let Some(place) = locator.and_then(end64_place) {
            let place = usize::try_from(place.checked_sub(start)?).ok()?;
            let mut record = Cursor::new(tail.get(place..end)?);
            if record.u32()? != END64_SIGNATURE {
                return None;
            }
            record.take(28)?;
            (count, length, offset) = (record.u64()?, record.u64()?, record.u64()?);
        }
        Some(Directory {
            range: offset..offset.checked_add(length)?,
            count,
        })
    }
}

/// Whether an archive ends with a record at that place: its comment goes to the file's last byte.
fn is_end(tail: &[u8], at: usize) -> bool {
    let Some(record) = tail.get(at..).filter(|rest| rest.len() >= END_LENGTH) else {
        return false;
    };
    let comment = record.get(END_LENGTH - 2..).and_then(<[u8]>::first_chunk);
    record.starts_with(&END_SIGNATURE)
        && comment.is_some_and(|&length| {
            usize::from(u16::from_le_bytes(length)) == record.len() - END_LENGTH
        })
}

/// Where the end with 64-bit numbers is, by its locator.
fn end64_place(locator: &[u8]) -> Option<u64> {
    let mut locator = Cursor::new(locator);
    if locator.u32()? != LOCATOR_SIGNATURE {
        return None;
    }
    locator.take(4)?;
    locator.u64()
}

impl Contents {
    /// Reads a directory.
    pub(super) fn parse(
        file: &str,
        directory: &Directory,
        bytes: &[u8],
    ) -> Result<Self, TorchFileError> {
        let mut cursor = Cursor::new(bytes);
        let mut members = Vec::new();
        for _ in 0..directory.count {
            let member = entry(&mut cursor)
                .ok_or_else(|| malformed(file, "its directory is not one of an archive"))?;
            let end = member.header_end().filter(|_| !member.is_packed);
            let end = end.and_then(|end| end.checked_add(member.length));
            if !member.is_packed && end.is_none_or(|end| end > directory.range.start) {
                let name = shown(&member.name);
                return Err(malformed(
                    file,
                    format!("its member {name} is beyond its end"),
                ));
            }
            members.push(member);
        }
        let mut folders = members
            .iter()
            .filter_map(|member| member.name.strip_suffix(PICKLE))
            .filter(|folder| folder.find('/').map(|slash| slash + 1) == Some(folder.len()));
        let folder = match (folders.next(), folders.next()) {
            (Some(folder), None) => folder.to_owned(),
            (Some(_), Some(_)) => return Err(malformed(file, "it has more than one data.pkl")),
            (None, _) => return Err(TorchFileError::NoPickle { file: file.into() }),
        };
        members.retain(|member| {
            let name = member.name.strip_prefix(&folder).unwrap_or_default();
            name == PICKLE || name == BYTE_ORDER || name.starts_with(STORAGES)
        });
        members.sort_by_key(|member| member.header);
        Ok(Contents {
            folder,
            members,
            read: 0,
            end: 0,
            limit: directory.range.start,
            ranges: BTreeMap::new(),
        })
    }

    /// The bytes that hold the next local headers; none, once all have been read.
    pub(super) fn next_headers(&self) -> Option<Range<u64>> {
        let mut rest = self.members.get(self.read..)?.iter();
        let first = rest.next()?;
        let mut end = first.header_end()?;
        for member in rest {
            let next = member.header_end()?;
            if next - first.header > WINDOW {
                break;
            }
            end = end.max(next);
        }
        Some(first.header..end)
    }

    /// Reads the local headers in the bytes of [`Contents::next_headers`].
    pub(super) fn read_headers(
        &mut self,
        file: &str,
        range: &Range<u64>,
        bytes: &[u8],
    ) -> Result<(), TorchFileError> {
        while let Some(member) = self.members.get(self.read) {
            if member.header_end().is_none_or(|end| end > range.end) {
                break;
            }
            let name = shown(&member.name);
            if member.is_packed {
                return Err(TorchFileError::Packed {
                    file: file.into(),
                    member: name,
                });
            }
            let data = usize::try_from(member.header - range.start)
                .ok()
                .and_then(|at| bytes.get(at..))
                .and_then(|header| member.data(header))
                .filter(|data| data.end <= self.limit && member.header >= self.end)
                .ok_or_else(|| {
                    malformed(file, format!("its member {name} is not where it should be"))
                })?;
            self.end = data.end;
            let inner = member.name.strip_prefix(&self.folder).unwrap_or_default();
            if self.ranges.insert(inner.to_owned(), data).is_some() {
                return Err(malformed(file, format!("it has two members {name}")));
            }
            self.read += 1;
        }
        Ok(())
    }

    /// The bytes of a member, by its name in the folder.
    pub(super) fn member(&self, name: &str) -> Option<Range<u64>> {
        self.ranges.get(name).cloned()
    }

    /// The bytes of a storage, by its key.
    pub(super) fn storage(&self, key: &str) -> Option<Range<u64>> {
        self.member(&format!("{STORAGES}{key}"))
    }
}

/// The directory's next entry.
fn entry(cursor: &mut Cursor) -> Option<Member> {
    if cursor.u32()? != ENTRY_SIGNATURE {
        return None;
    }
    cursor.take(4)?;
    let (flags, method) = (cursor.u16()?, cursor.u16()?);
    cursor.take(8)?;
    let (mut packed, mut length) = (u64::from(cursor.u32()?), u64::from(cursor.u32()?));
    let (name, extra, comment) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
    cursor.take(8)?;
    let mut header = u64::from(cursor.u32()?);
    let name = String::from_utf8_lossy(cursor.take(name.into())?).into_owned();
    let mut extra = Cursor::new(cursor.take(extra.into())?);
    cursor.take(comment.into())?;
    while let Some((kind, size)) = extra.u16().zip(extra.u16()) {
        let mut field = Cursor::new(extra.take(size.into())?);
        if kind == EXTRA64 {
            for number in [&mut length, &mut packed, &mut header] {
                if *number == ELSEWHERE {
                    *number = field.u64()?;
                }
            }
            break;
        }
    }
    Some(Member {
        name,
        header,
        length,
        is_packed: method != STORED || flags & ENCRYPTED != 0 || packed != length,
    })
}

impl Member {
    /// Where its local header ends, without the extra fields, whose length is in it.
    fn header_end(&self) -> Option<u64> {
        self.header
            .checked_add(LOCAL_LENGTH)?
            .checked_add(self.name.len() as u64)
    }

    /// Its bytes in the file, by its local header.
    fn data(&self, header: &[u8]) -> Option<Range<u64>> {
        let mut cursor = Cursor::new(header);
        if cursor.u32()? != LOCAL_SIGNATURE {
            return None;
        }
        cursor.take(22)?;
        let (name, extra) = (cursor.u16()?, cursor.u16()?);
        // Another name than the directory's would be another member for another reader.
        if cursor.take(name.into())? != self.name.as_bytes() {
            return None;
        }
        let start = self.header_end()?.checked_add(extra.into())?;
        Some(start..start.checked_add(self.length)?)
    }
}

//! The pickle of a state dict: a machine that knows the instructions which such a pickle needs, and builds
//! descriptions of tensors instead of calling anything.
//!
//! After Python's `pickletools`, of whose protocols 2 to 5 this takes what the pickler writes for dicts,
//! texts, numbers, tuples, lists and tensors. A list, a fraction, a truth value and none are all the same
//! here: no name and no tensor's place depends on them.
//!
//! Every instruction makes at most one value, so that memory is bounded by the pickle's length.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::cursor::Cursor;
use super::error::{TorchFileError, shown};

/// Values that wait on the stack at once. Python's pickler hands its dicts on by the thousand.
const DEEPEST_STACK: usize = 100_000;

/// What an instruction makes. What is larger lies in [`Pickle`], in the order of making.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing that is asked for here.
    Other,
    Integer(i64),
    Text(&'a str),
    /// Its items, of [`Pickle::items`].
    Tuple(Items),
    /// One of [`Pickle::dicts`].
    Dict(usize),
    Global(Global),
    /// One of [`Pickle::storages`].
    Storage(usize),
    /// One of [`Pickle::tensors`].
    Tensor(usize),
}

/// A tuple's items among all tuples'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Items {
    start: usize,
    length: usize,
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// The class of a storage with values of this dtype.
    Storage(Dtype),
}

/// The bytes that one or several tensors lie in.
#[derive(Debug)]
pub(super) struct Storage<'a> {
    pub(super) dtype: Dtype,
    /// The name of its member.
    pub(super) key: &'a str,
    /// Its number of values.
    pub(super) count: u64,
}

/// A view of a storage.
#[derive(Debug)]
pub(super) struct Tensor {
    /// One of [`Pickle::storages`].
    pub(super) storage: usize,
    /// The first value's place in the storage, in values.
    pub(super) offset: u64,
    pub(super) shape: Items,
    /// Values from one to the next along each dimension.
    pub(super) strides: Items,
}

/// All that a pickle makes.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    /// The entries of each dict, keys first.
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) storages: Vec<Storage<'a>>,
    pub(super) tensors: Vec<Tensor>,
    items: Vec<Value<'a>>,
}

impl Global {
    fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Global::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Global::Storage(Dtype::BF16),
            ("torch", "DoubleStorage") => Global::Storage(Dtype::F64),
            ("torch", "LongStorage") => Global::Storage(Dtype::I64),
            ("torch", "IntStorage") => Global::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Global::Storage(Dtype::I16),
            ("torch", "CharStorage") => Global::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Global::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Global::Storage(Dtype::BOOL),
            _ => return None,
        })
    }
}

impl<'a> Pickle<'a> {
    /// The items of a tuple.
    pub(super) fn items(&self, items: Items) -> &[Value<'a>] {
        let end = items.start + items.length;
        self.items.get(items.start..end).unwrap_or_default()
    }
}

/// Why an instruction is not followed.
enum Refusal {
    /// It stands where it can't.
    Reason(&'static str),
    /// It is none that is known.
    Opcode,
    /// It asks for this.
    Global(String),
}

type Followed<T> = Result<T, Refusal>;

const CUT_OFF: Refusal = Refusal::Reason("it ends too early");
const EMPTY: Refusal = Refusal::Reason("an instruction lacks its values");
const MISPLACED: Refusal = Refusal::Reason("an instruction has values of the wrong kind");

/// Builds what a pickle describes.
///
/// # Errors
/// [`TorchFileError::Forbidden`], [`TorchFileError::Opcode`] and [`TorchFileError::Pickle`].
pub(super) fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<Pickle<'a>, TorchFileError> {
    let mut machine = Machine {
        cursor: Cursor::new(bytes),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        pickle: Pickle {
            root: Value::Other,
            dicts: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
            items: Vec::new(),
        },
    };
    loop {
        let position = machine.cursor.position();
        let opcode = machine.cursor.u8();
        let followed = opcode.ok_or(CUT_OFF).and_then(|opcode| {
            if opcode == opcodes::STOP {
                machine.pickle.root = machine.pop()?;
                return Ok(true);
            }
            machine.follow(opcode)?;
            Ok(false)
        });
        let refusal = match followed {
            Ok(true) => return Ok(machine.pickle),
            Ok(false) => continue,
            Err(refusal) => refusal,
        };
        let file = file.to_owned();
        return Err(match refusal {
            Refusal::Reason(reason) => TorchFileError::Pickle { file, reason },
            Refusal::Global(name) => TorchFileError::Forbidden { file, name },
            Refusal::Opcode => TorchFileError::Opcode {
                file,
                opcode: opcode.unwrap_or_default(),
                position,
            },
        });
    }
}

struct Machine<'a> {
    cursor: Cursor<'a>,
    stack: Vec<Value<'a>>,
    /// How much of the stack lies below each mark.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
    pickle: Pickle<'a>,
}

mod opcodes {
    //! The instructions that are followed, by Python's names.
    pub(super) const MARK: u8 = b'(';
    pub(super) const STOP: u8 = b'.';
    pub(super) const POP: u8 = b'0';
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const NONE: u8 = b'N';
    pub(super) const BINPERSID: u8 = b'Q';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const BUILD: u8 = b'b';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const BINGET: u8 = b'h';
    /// Never followed: it names what it calls.
    pub(super) const INST: u8 = b'i';
    pub(super) const LONG_BINGET: u8 = b'j';
    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const BINPUT: u8 = b'q';
    pub(super) const LONG_BINPUT: u8 = b'r';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE2: u8 = 0x86;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const LONG1: u8 = 0x8a;
    pub(super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(super) const STACK_GLOBAL: u8 = 0x93;
    pub(super) const MEMOIZE: u8 = 0x94;
    pub(super) const FRAME: u8 = 0x95;
}

impl<'a> Machine<'a> {
    fn follow(&mut self, opcode: u8) -> Followed<()> {
        match opcode {
            opcodes::PROTO => self.skip(1),
            opcodes::FRAME => self.skip(8),
            opcodes::MARK => {
                check_depth(self.marks.len())?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            opcodes::POP => self.pop().map(drop),
            opcodes::NONE | opcodes::NEWTRUE | opcodes::NEWFALSE | opcodes::EMPTY_LIST => {
                self.push(Value::Other)
            }
            opcodes::BINFLOAT => {
                self.skip(8)?;
                self.push(Value::Other)
            }
            opcodes::BININT | opcodes::BININT1 | opcodes::BININT2 | opcodes::LONG1 => {
                let value = self.integer(opcode)?;
                self.push(value)
            }
            opcodes::BINUNICODE | opcodes::SHORT_BINUNICODE => {
                let length = match opcode {
                    opcodes::BINUNICODE => {
                        self.cursor.u32().map(usize::try_from).and_then(Result::ok)
                    }
                    _ => self.cursor.u8().map(usize::from),
                };
                let bytes = length.and_then(|length| self.cursor.take(length));
                let text = utf8(bytes.ok_or(CUT_OFF)?)?;
                self.push(Value::Text(text))
            }
            opcodes::EMPTY_DICT => self.new_dict(),
            opcodes::EMPTY_TUPLE => self.new_tuple(self.stack.len()),
            opcodes::TUPLE1 => self.new_tuple_of(1),
            opcodes::TUPLE2 => self.new_tuple_of(2),
            opcodes::TUPLE3 => self.new_tuple_of(3),
            opcodes::TUPLE => {
                let start = self.pop_mark()?;
                self.new_tuple(start)
            }
            opcodes::APPEND => {
                self.pop()?;
                self.is_list()
            }
            opcodes::APPENDS => {
                let start = self.pop_mark()?;
                self.stack.truncate(start);
                self.is_list()
            }
            opcodes::SETITEM => {
                let start = self.stack.len().checked_sub(2).ok_or(EMPTY)?;
                self.set_items(start)
            }
            opcodes::SETITEMS => {
                let start = self.pop_mark()?;
                self.set_items(start)
            }
            opcodes::BINPUT => self
                .cursor
                .u8()
                .map_or(Err(CUT_OFF), |at| self.put(at.into())),
            opcodes::LONG_BINPUT => self.cursor.u32().map_or(Err(CUT_OFF), |at| self.put(at)),
            opcodes::MEMOIZE => {
                let at = u32::try_from(self.memo.len()).map_err(|_| MISPLACED)?;
                self.put(at)
            }
            opcodes::BINGET => self
                .cursor
                .u8()
                .map_or(Err(CUT_OFF), |at| self.get(at.into())),
            opcodes::LONG_BINGET => self.cursor.u32().map_or(Err(CUT_OFF), |at| self.get(at)),
            opcodes::GLOBAL | opcodes::INST => {
                let (module, name) = self.cursor.line().zip(self.cursor.line()).ok_or(CUT_OFF)?;
                let (module, name) = (
                    String::from_utf8_lossy(module),
                    String::from_utf8_lossy(name),
                );
                self.global(&module, &name, opcode == opcodes::GLOBAL)
            }
            opcodes::STACK_GLOBAL => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(module, name, true),
                _ => Err(MISPLACED),
            },
            opcodes::REDUCE => self.reduce(),
            opcodes::BUILD => self.build(),
            opcodes::BINPERSID => self.persistent(),
            _ => Err(Refusal::Opcode),
        }
    }

    fn skip(&mut self, length: usize) -> Followed<()> {
        self.cursor.take(length).map(drop).ok_or(CUT_OFF)
    }

    fn push(&mut self, value: Value<'a>) -> Followed<()> {
        check_depth(self.stack.len())?;
        self.stack.push(value);
        Ok(())
    }

    /// What lies below the last mark is not at hand.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Followed<Value<'a>> {
        if self.stack.len() <= self.floor() {
            return Err(EMPTY);
        }
        self.stack.pop().ok_or(EMPTY)
    }

    fn top(&self) -> Followed<Value<'a>> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        above.last().copied().ok_or(EMPTY)
    }

    /// Takes the last mark away; returns how much of the stack lies below it.
    fn pop_mark(&mut self) -> Followed<usize> {
        self.marks.pop().ok_or(EMPTY)
    }

    fn integer(&mut self, opcode: u8) -> Followed<Value<'a>> {
        let number = match opcode {
            opcodes::BININT => self.cursor.i32().map(i64::from),
            opcodes::BININT1 => self.cursor.u8().map(i64::from),
            opcodes::BININT2 => self.cursor.u16().map(i64::from),
            _ => {
                let length = self.cursor.u8().map(usize::from).ok_or(CUT_OFF)?;
                let bytes = self.cursor.take(length).ok_or(CUT_OFF)?;
                // A longer one is no tensor's.
                return Ok(signed(bytes).map_or(Value::Other, Value::Integer));
            }
        };
        number.map(Value::Integer).ok_or(CUT_OFF)
    }

    fn new_dict(&mut self) -> Followed<()> {
        self.push(Value::Dict(self.pickle.dicts.len()))?;
        self.pickle.dicts.push(Vec::new());
        Ok(())
    }

    fn new_tuple_of(&mut self, length: usize) -> Followed<()> {
        let start = self.stack.len().checked_sub(length).ok_or(EMPTY)?;
        self.new_tuple(start)
    }

    /// Makes a tuple of all that lies on the stack from there.
    fn new_tuple(&mut self, from: usize) -> Followed<()> {
        if from < self.floor() || from > self.stack.len() {
            return Err(EMPTY);
        }
        let start = self.pickle.items.len();
        self.pickle.items.extend(self.stack.drain(from..));
        let length = self.pickle.items.len() - start;
        self.push(Value::Tuple(Items { start, length }))
    }

    fn is_list(&self) -> Followed<()> {
        match self.top()? {
            Value::Other => Ok(()),
            _ => Err(MISPLACED),
        }
    }

    /// Puts all that lies on the stack from there, keys and values, into the dict below.
    fn set_items(&mut self, from: usize) -> Followed<()> {
        if from <= self.floor() || from > self.stack.len() {
            return Err(EMPTY);
        }
        let mut entries = self.stack.drain(from..);
        let mut pairs = Vec::with_capacity(entries.len() / 2);
        while let Some(key) = entries.next() {
            pairs.push((key, entries.next().ok_or(EMPTY)?));
        }
        drop(entries);
        match self.top()? {
            Value::Dict(dict) => {
                let dict = self.pickle.dicts.get_mut(dict).ok_or(MISPLACED)?;
                dict.extend(pairs);
                Ok(())
            }
            _ => Err(MISPLACED),
        }
    }

    fn put(&mut self, at: u32) -> Followed<()> {
        let value = self.top()?;
        self.memo.insert(at, value);
        Ok(())
    }

    fn get(&mut self, at: u32) -> Followed<()> {
        let value = self.memo.get(&at).copied();
        self.push(value.ok_or(Refusal::Reason("it refers to a value that it doesn't have"))?)
    }

    fn global(&mut self, module: &str, name: &str, is_followed: bool) -> Followed<()> {
        match Global::of(module, name).filter(|_| is_followed) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(Refusal::Global(shown(&format!("{module}.{name}")))),
        }
    }

    /// The description of what a call would give.
    fn reduce(&mut self) -> Followed<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(function)) = (arguments, function) else {
            return Err(MISPLACED);
        };
        match (function, self.pickle.items(arguments)) {
            (Global::OrderedDict, []) => self.new_dict(),
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => self.push(tensor),
            (
                Global::RebuildTensor,
                &[
                    Value::Storage(storage),
                    Value::Integer(offset),
                    Value::Tuple(shape),
                    Value::Tuple(strides),
                    _,
                    _,
                    ref marks @ ..,
                ],
            ) => {
                // Complex numbers' views say here that their values are to be negated.
                if !marks.is_empty() {
                    return Err(Refusal::Reason(
                        "a tensor has marks that change its values; save a copy of it",
                    ));
                }
                let offset = u64::try_from(offset).map_err(|_| MISPLACED)?;
                self.push(Value::Tensor(self.pickle.tensors.len()))?;
                self.pickle.tensors.push(Tensor {
                    storage,
                    offset,
                    shape,
                    strides,
                });
                Ok(())
            }
            _ => Err(MISPLACED),
        }
    }

    /// A state dict's attribute `_metadata`, which has the versions of its modules, is of no use here.
    fn build(&mut self) -> Followed<()> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err(MISPLACED),
        }
    }

    fn persistent(&mut self) -> Followed<()> {
        let Value::Tuple(items) = self.pop()? else {
            return Err(MISPLACED);
        };
        // The fourth is the device that the values lay on.
        let &[
            Value::Text("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Text(key),
            _,
            Value::Integer(count),
        ] = self.pickle.items(items)
        else {
            return Err(MISPLACED);
        };
        let count = u64::try_from(count).map_err(|_| MISPLACED)?;
        self.push(Value::Storage(self.pickle.storages.len()))?;
        self.pickle.storages.push(Storage { dtype, key, count });
        Ok(())
    }
}

fn check_depth(depth: usize) -> Followed<()> {
    if depth < DEEPEST_STACK {
        Ok(())
    } else {
        Err(Refusal::Reason("it is nested too deeply"))
    }
}

fn utf8(bytes: &[u8]) -> Followed<&str> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::Reason("a text in it is not UTF-8"))
}

/// A little-endian number in two's complement; none, where it is longer than 8 bytes.
fn signed(bytes: &[u8]) -> Option<i64> {
    let mut wide = match bytes.last() {
        Some(last) if last & 0x80 != 0 => [0xff; 8],
        _ => [0; 8],
    };
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

//! From a request's body to Arrow in one pass, for the common case: every row is good.
//!
//! What it takes, [`StreamSchema::validate`] and the decoder of a replayed journal take too, with the same values; of
//! everything else, repeated keys and odd but valid times included, it says nothing ([`None`]) and leaves the verdicts to
//! [`super::judge`]. A test holds both ways against each other.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, NullBufferBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, FieldRef, Fields, SchemaRef};
use jiter::{Jiter, Peek};
use weir_domain::telemetry::{is_date, Field, FieldType, StreamSchema, MAX_ROW_BYTES};

use super::time::micros;

/// Rows that take more bytes than this in the body are left to the careful way: written anew, as it counts them, a row may
/// be longer (`1e15` becomes 18 bytes), but not eight times.
const PLAIN_ROW_BYTES: usize = MAX_ROW_BYTES / 8;

/// Reads the bodies of one stream.
#[derive(Debug)]
pub struct Parser {
    fields: Vec<Field>,
    schema: SchemaRef,
}

impl Parser {
    /// `schema` has a column for each field of the stream, in its order. None if a field has no plain column: JSON is
    /// written anew before it is kept.
    #[must_use]
    pub fn new(stream: &StreamSchema, schema: SchemaRef) -> Option<Self> {
        Members::new(&stream.fields, schema.fields())?;
        Some(Self {
            fields: stream.fields.clone(),
            schema,
        })
    }

    /// The rows of a JSON array; none if any of them needs a closer look.
    #[must_use]
    pub fn parse(&self, body: &[u8]) -> Option<RecordBatch> {
        // The tokenizer does not look at every byte it steps over.
        std::str::from_utf8(body).ok()?;
        let mut members = Members::new(&self.fields, self.schema.fields())?;
        let mut tokens = Jiter::new(body);
        if tokens.peek().ok()? != Peek::Array {
            return None;
        }
        let mut next = tokens.known_array().ok()?;
        while let Some(kind) = next {
            let start = tokens.current_index();
            if kind != Peek::Object {
                return None;
            }
            members.object(&mut tokens)?;
            if tokens.current_index() - start > PLAIN_ROW_BYTES {
                return None;
            }
            next = tokens.array_step().ok()?;
        }
        tokens.finish().ok()?;
        let options = RecordBatchOptions::new().with_row_count(Some(members.rows));
        RecordBatch::try_new_with_options(self.schema.clone(), members.finish()?, &options).ok()
    }
}

/// The columns of an object's members.
struct Members {
    fields: Vec<(&'static str, bool)>,
    columns: Vec<Column>,
    /// Number of the object in which each member was last seen, from 1.
    seen: Vec<usize>,
    rows: usize,
    /// Member at each position of the last object: senders write them in one order.
    order: Vec<usize>,
}

impl Members {
    fn new(fields: &[Field], columns: &Fields) -> Option<Self> {
        if fields.len() != columns.len() {
            return None;
        }
        let named = |(field, column): (&Field, &FieldRef)| {
            (field.name == column.name()).then(|| Column::new(&field.field_type, column.data_type()))?
        };
        Some(Self {
            fields: fields.iter().map(|field| (field.name, field.required)).collect(),
            columns: fields.iter().zip(columns).map(named).collect::<Option<_>>()?,
            seen: vec![0; fields.len()],
            rows: 0,
            order: Vec::new(),
        })
    }

    fn object(&mut self, tokens: &mut Jiter<'_>) -> Option<()> {
        self.rows += 1;
        let mut position = 0;
        let mut key = tokens.known_object().ok()?;
        while let Some(name) = key {
            let index = self.find(name, position)?;
            position += 1;
            if std::mem::replace(&mut self.seen[index], self.rows) == self.rows {
                return None;
            }
            let kind = tokens.peek().ok()?;
            if kind == Peek::Null {
                tokens.known_null().ok()?;
                self.absent(index)?;
            } else {
                self.columns[index].value(tokens, kind)?;
            }
            key = tokens.next_key().ok()?;
        }
        for index in 0..self.seen.len() {
            if self.seen[index] != self.rows {
                self.absent(index)?;
            }
        }
        Some(())
    }

    /// Which member is called `name`.
    fn find(&mut self, name: &str, position: usize) -> Option<usize> {
        if let Some(index) = self.order.get(position).filter(|index| self.fields[**index].0 == name) {
            return Some(*index);
        }
        let index = self.fields.iter().position(|(known, _)| *known == name)?;
        self.order.truncate(position);
        if self.order.len() == position {
            self.order.push(index);
        }
        Some(index)
    }

    fn absent(&mut self, index: usize) -> Option<()> {
        if self.fields[index].1 {
            return None;
        }
        self.columns[index].null();
        Some(())
    }

    fn finish(self) -> Option<Vec<ArrayRef>> {
        self.columns.into_iter().map(Column::finish).collect()
    }
}

/// Values of one field, by its type.
enum Column {
    Text(StringBuilder),
    Date(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    List(Box<List>),
    Struct(Box<Record>),
}

struct List {
    item: FieldRef,
    items: Column,
    /// Where each list ends among the items.
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
}

struct Record {
    fields: Fields,
    members: Members,
    valid: NullBufferBuilder,
}

impl Column {
    fn new(field_type: &FieldType, data_type: &DataType) -> Option<Self> {
        Some(match (field_type, data_type) {
            (FieldType::String, DataType::Utf8) => Self::Text(StringBuilder::new()),
            (FieldType::Date, DataType::Utf8) => Self::Date(StringBuilder::new()),
            (FieldType::Int32, DataType::Int32) => Self::Int32(Int32Builder::new()),
            (FieldType::Int64, DataType::Int64) => Self::Int64(Int64Builder::new()),
            (FieldType::Float64, DataType::Float64) => Self::Float64(Float64Builder::new()),
            (FieldType::Bool, DataType::Boolean) => Self::Bool(BooleanBuilder::new()),
            (FieldType::Timestamp, DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, _)) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()))
            }
            (FieldType::List(items), DataType::List(item)) => Self::List(Box::new(List {
                item: item.clone(),
                items: Self::new(items, item.data_type())?,
                offsets: vec![0],
                valid: NullBufferBuilder::new(0),
            })),
            (FieldType::Struct(members), DataType::Struct(fields)) => Self::Struct(Box::new(Record {
                fields: fields.clone(),
                members: Members::new(members, fields)?,
                valid: NullBufferBuilder::new(0),
            })),
            _ => return None,
        })
    }

    /// Reads a value that is not null.
    fn value(&mut self, tokens: &mut Jiter<'_>, kind: Peek) -> Option<()> {
        match self {
            Self::Text(column) => {
                let text = text(tokens, kind)?;
                if text.as_bytes().contains(&0) {
                    return None;
                }
                column.append_value(text);
            }
            Self::Date(column) => column.append_value(text(tokens, kind).filter(|text| is_date(text))?),
            Self::Int32(column) => column.append_value(i32::try_from(integer(tokens, kind)?).ok()?),
            Self::Int64(column) => column.append_value(integer(tokens, kind)?),
            // As serde_json reads it, which the careful way does.
            Self::Float64(column) => column.append_value(serde_json::from_slice(number(tokens, kind)?).ok()?),
            Self::Bool(column) if matches!(kind, Peek::True | Peek::False) => {
                column.append_value(tokens.known_bool(kind).ok()?);
            }
            Self::Bool(_) => return None,
            Self::Timestamp(column) => column.append_value(micros(text(tokens, kind)?)?),
            Self::List(list) => return list.value(tokens, kind),
            Self::Struct(record) => {
                if kind != Peek::Object {
                    return None;
                }
                record.members.object(tokens)?;
                record.valid.append_non_null();
            }
        }
        Some(())
    }

    fn null(&mut self) {
        match self {
            Self::Text(column) | Self::Date(column) => column.append_null(),
            Self::Int32(column) => column.append_null(),
            Self::Int64(column) => column.append_null(),
            Self::Float64(column) => column.append_null(),
            Self::Bool(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::List(list) => {
                list.offsets.extend(list.offsets.last().copied());
                list.valid.append_null();
            }
            Self::Struct(record) => {
                record.members.rows += 1;
                record.members.columns.iter_mut().for_each(Self::null);
                record.valid.append_null();
            }
        }
    }

    fn finish(self) -> Option<ArrayRef> {
        Some(match self {
            Self::Text(mut column) | Self::Date(mut column) => Arc::new(column.finish()),
            Self::Int32(mut column) => Arc::new(column.finish()),
            Self::Int64(mut column) => Arc::new(column.finish()),
            Self::Float64(mut column) => Arc::new(column.finish()),
            Self::Bool(mut column) => Arc::new(column.finish()),
            Self::Timestamp(mut column) => Arc::new(column.finish()),
            Self::List(list) => {
                let mut list = *list;
                // Grown from 0 by lengths: they do not fall.
                let offsets = OffsetBuffer::new(ScalarBuffer::from(list.offsets));
                Arc::new(ListArray::try_new(list.item, offsets, list.items.finish()?, list.valid.finish()).ok()?)
            }
            Self::Struct(record) => {
                let mut record = *record;
                let (rows, nulls) = (record.members.rows, record.valid.finish());
                let columns = record.members.finish()?;
                Arc::new(StructArray::try_new_with_length(record.fields, columns, nulls, rows).ok()?)
            }
        })
    }
}

impl List {
    fn value(&mut self, tokens: &mut Jiter<'_>, kind: Peek) -> Option<()> {
        if kind != Peek::Array {
            return None;
        }
        let mut end = *self.offsets.last()?;
        let mut next = tokens.known_array().ok()?;
        while let Some(kind) = next {
            // Null fits no type here: items are required.
            self.items.value(tokens, kind)?;
            end = end.checked_add(1)?;
            next = tokens.array_step().ok()?;
        }
        self.offsets.push(end);
        self.valid.append_non_null();
        Some(())
    }
}

fn text<'t>(tokens: &'t mut Jiter<'_>, kind: Peek) -> Option<&'t str> {
    if kind != Peek::String {
        return None;
    }
    tokens.known_str().ok()
}

fn number<'t>(tokens: &'t mut Jiter<'_>, kind: Peek) -> Option<&'t [u8]> {
    if !kind.is_num() {
        return None;
    }
    tokens.known_number_bytes(kind).ok()
}

/// An integer's own digits, exact to the last one. `-0` is a float for serde_json.
fn integer(tokens: &mut Jiter<'_>, kind: Peek) -> Option<i64> {
    let digits = number(tokens, kind).filter(|digits| *digits != b"-0")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

//! The interpreter that runs the ledger's own scripts, as Redis would: Lua 5.1, the same conversions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};

use super::Identity;
use super::keyspace::{Bytes, Keyspace, Reply};

/// What the scripts see of Redis. An error of a command is raised by `call` and handed over by `pcall`;
/// what a script raises is told from what the interpreter does.
const PRELUDE: &str = r"
local raw = ...
redis = {}
function redis.pcall(...) return raw(...) end
function redis.call(...)
  local reply = raw(...)
  if type(reply) == 'table' and reply.err then error(reply) end
  return reply
end
function redis.error_reply(text) return {err = text} end
function redis.status_reply(text) return {ok = text} end
return function(script)
  local done, reply = pcall(script)
  if done then return reply end
  if type(reply) == 'table' then return {err = reply.err .. ' script: x, on @user_script:1.'} end
  return {err = 'ERR ' .. tostring(reply) .. ' script: x, on @user_script:1.'}
end
";

/// What the scripts and the server share.
#[derive(Debug, Default)]
pub struct Memory {
    pub keys: Keyspace,
    pub identity: Identity,
}

pub struct Interpreter {
    lua: Lua,
    guarded: Function,
    scripts: BTreeMap<String, Function>,
}

impl Interpreter {
    pub fn new(memory: &Arc<Mutex<Memory>>) -> Self {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default()).expect("an interpreter");
        let memory = Arc::clone(memory);
        let raw = lua.create_function(move |lua, args: MultiValue| {
            let words: Vec<Bytes> = args.iter().map(word).collect();
            let mut memory = memory.lock().expect("no step panics");
            let reply = if words[0].eq_ignore_ascii_case(b"INFO") {
                Reply::Bulk(memory.identity.info().into_bytes())
            } else {
                memory.keys.run(&words)
            };
            drop(memory);
            to_lua(lua, &reply)
        });
        let prelude = lua.load(PRELUDE).call(raw.expect("a function"));
        let guarded = prelude.expect("the prelude is right");
        Self {
            lua,
            guarded,
            scripts: BTreeMap::new(),
        }
    }

    /// Whether a script is known by this hash.
    pub fn knows(&self, hash: &str) -> bool {
        self.scripts.contains_key(hash)
    }

    /// Compiles a script, once.
    pub fn load(&mut self, hash: &str, source: &str) -> Result<(), String> {
        if !self.knows(hash) {
            let chunk = self.lua.load(source).set_name("@user_script");
            let script = chunk.into_function();
            let script = script.map_err(|error| format!("ERR Error compiling script: {error}"))?;
            self.scripts.insert(hash.to_owned(), script);
        }
        Ok(())
    }

    pub fn run(&self, hash: &str, keys: &[Bytes], args: &[Bytes]) -> Reply {
        let list = |words: &[Bytes]| -> mlua::Result<Table> {
            let table = self.lua.create_table_with_capacity(words.len(), 0)?;
            for word in words {
                table.raw_push(self.lua.create_string(word)?)?;
            }
            Ok(table)
        };
        let run = || -> mlua::Result<Reply> {
            let globals = self.lua.globals();
            globals.raw_set("KEYS", list(keys)?)?;
            globals.raw_set("ARGV", list(args)?)?;
            from_lua(&self.guarded.call(&self.scripts[hash])?)
        };
        run().unwrap_or_else(|error| Reply::Error(format!("ERR {error}")))
    }
}

/// An argument of a command. Redis takes strings and numbers alone.
fn word(value: &Value) -> Bytes {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        other => panic!("a script hands {other:?} to Redis"),
    }
}

fn to_lua(lua: &Lua, reply: &Reply) -> mlua::Result<Value> {
    let tagged = |tag: &str, text: &str| -> mlua::Result<Value> {
        let table = lua.create_table()?;
        table.raw_set(tag, text)?;
        Ok(Value::Table(table))
    };
    Ok(match reply {
        Reply::Int(number) => Value::Integer(*number),
        Reply::Bulk(bytes) => Value::String(lua.create_string(bytes)?),
        Reply::Nil => Value::Boolean(false),
        Reply::Status(text) => tagged("ok", text)?,
        Reply::Error(text) => tagged("err", text)?,
        Reply::List(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (at, item) in items.iter().enumerate() {
                table.raw_set(at + 1, to_lua(lua, item)?)?;
            }
            Value::Table(table)
        }
    })
}

fn from_lua(value: &Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::Integer(number) => Reply::Int(*number),
        // Cut off, as a C cast does.
        #[expect(clippy::cast_possible_truncation)]
        Value::Number(number) => Reply::Int(*number as i64),
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => {
            if let Value::String(text) = table.raw_get("err")? {
                return Ok(Reply::Error(text.to_string_lossy()));
            }
            if let Value::String(_) = table.raw_get("ok")? {
                return Ok(Reply::Status("OK"));
            }
            let mut items = Vec::new();
            for at in 1.. {
                let item: Value = table.raw_get(at)?;
                if item.is_nil() {
                    break; // A list ends at the first nil, whatever stands behind it.
                }
                items.push(from_lua(&item)?);
            }
            Reply::List(items)
        }
        _ => Reply::Nil,
    })
}

//! The commands that the ledger gives Redis; others are taught when a script needs them.

use std::collections::VecDeque;

use super::keyspace::{Bytes, Data, Key, Keyspace, Reply};

type Done = Result<Reply, String>;

const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";

impl Keyspace {
    /// Runs one command.
    pub fn run(&mut self, words: &[Bytes]) -> Reply {
        self.command(words).unwrap_or_else(Reply::Error)
    }

    fn command(&mut self, words: &[Bytes]) -> Done {
        let name = words[0].to_ascii_uppercase();
        let name = std::str::from_utf8(&name).map_err(|_| "ERR unknown command".to_owned())?;
        let args = &words[1..];
        let wrong = || {
            format!(
                "ERR wrong number of arguments for '{}' command",
                name.to_lowercase()
            )
        };
        let arg = |at: usize| args.get(at).ok_or_else(wrong);
        match name {
            "TIME" => {
                let (s, us) = (self.now_us / 1_000_000, self.now_us % 1_000_000);
                Ok(Reply::List(vec![number(s), number(us)]))
            }
            "EXPIREAT" => Ok(self.expire(arg(0)?, int(arg(1)?)? * 1000)),
            "PEXPIREAT" => Ok(self.expire(arg(0)?, int(arg(1)?)?)),
            "EXPIRE" => {
                let at = self.now_us / 1000 + int(arg(1)?)? * 1000;
                Ok(self.expire(arg(0)?, at))
            }
            "PEXPIRE" => {
                let at = self.now_us / 1000 + int(arg(1)?)?;
                Ok(self.expire(arg(0)?, at))
            }
            "DEL" | "UNLINK" => {
                let mut gone = 0;
                for key in args {
                    gone += i64::from(self.live(key).is_some());
                    self.keys.remove(key);
                }
                Ok(Reply::Int(gone))
            }
            "EXISTS" => {
                let there = args.iter().filter(|key| self.live(key).is_some());
                Ok(count(there.count()))
            }
            "GET" => Ok(self.text(arg(0)?)?.cloned().map_or(Reply::Nil, Reply::Bulk)),
            "SET" => {
                let data = Data::Text(arg(1)?.clone());
                self.keys.insert(
                    arg(0)?.clone(),
                    Key {
                        data,
                        ends_ms: None,
                    },
                );
                Ok(Reply::Status("OK"))
            }
            "INCR" | "INCRBY" => {
                let by = args.get(1).map_or(Ok(1), |by| int(by))?;
                let text = self.made_text(arg(0)?)?;
                let sum = if text.is_empty() { by } else { int(text)? + by };
                *text = sum.to_string().into_bytes();
                Ok(Reply::Int(sum))
            }
            // Nobody listens, and there is no replica.
            "PUBLISH" | "WAIT" => Ok(Reply::Int(0)),
            _ if name.starts_with('H') => self.hash_command(name, args),
            _ if name.starts_with('Z') => self.sorted_command(name, args),
            _ if name.starts_with('S') => self.set_command(name, args),
            _ => self.list_command(name, args),
        }
    }

    fn hash_command(&mut self, name: &str, args: &[Bytes]) -> Done {
        let wrong = || {
            format!(
                "ERR wrong number of arguments for '{}' command",
                name.to_lowercase()
            )
        };
        let (key, rest) = args.split_first().ok_or_else(wrong)?;
        match name {
            "HSET" => {
                if rest.is_empty() || !rest.len().is_multiple_of(2) {
                    return Err(wrong());
                }
                let hash = self.made_hash(key)?;
                let pairs = rest.chunks(2);
                let new = pairs.map(|pair| hash.insert(pair[0].clone(), pair[1].clone()));
                Ok(count(new.filter(Option::is_none).count()))
            }
            "HSETNX" => {
                let hash = self.made_hash(key)?;
                let new = !hash.contains_key(&rest[0]);
                hash.entry(rest[0].clone())
                    .or_insert_with(|| rest[1].clone());
                Ok(Reply::Int(new.into()))
            }
            "HGET" => {
                let field = rest.first().ok_or_else(wrong)?;
                let found = self.hash(key)?.and_then(|hash| hash.get(field).cloned());
                Ok(found.map_or(Reply::Nil, Reply::Bulk))
            }
            "HMGET" => {
                let hash = self.hash(key)?;
                let of = |field| hash.as_ref()?.get(field).cloned();
                let found = rest
                    .iter()
                    .map(|field| of(field).map_or(Reply::Nil, Reply::Bulk));
                Ok(Reply::List(found.collect()))
            }
            "HGETALL" => {
                let mut all = Vec::new();
                for (field, value) in self.hash(key)?.into_iter().flatten() {
                    all.extend([Reply::Bulk(field.clone()), Reply::Bulk(value.clone())]);
                }
                Ok(Reply::List(all))
            }
            "HKEYS" => {
                let fields = self.hash(key)?.into_iter().flatten();
                Ok(Reply::List(
                    fields.map(|(f, _)| Reply::Bulk(f.clone())).collect(),
                ))
            }
            "HVALS" => {
                let fields = self.hash(key)?.into_iter().flatten();
                Ok(Reply::List(
                    fields.map(|(_, v)| Reply::Bulk(v.clone())).collect(),
                ))
            }
            "HLEN" => Ok(count(self.hash(key)?.map_or(0, |hash| hash.len()))),
            "HEXISTS" => {
                let there = self
                    .hash(key)?
                    .is_some_and(|hash| hash.contains_key(&rest[0]));
                Ok(Reply::Int(there.into()))
            }
            "HDEL" => {
                let mut gone = 0;
                if let Some(hash) = self.hash(key)? {
                    gone = rest
                        .iter()
                        .filter(|field| hash.remove(*field).is_some())
                        .count();
                }
                self.tidy(key);
                Ok(count(gone))
            }
            "HINCRBY" => {
                let by = int(rest.get(1).ok_or_else(wrong)?)?;
                let hash = self.made_hash(key)?;
                let sum = hash.get(&rest[0]).map_or(Ok(0), |text| int(text))? + by;
                hash.insert(rest[0].clone(), sum.to_string().into_bytes());
                Ok(Reply::Int(sum))
            }
            _ => Err(unknown(name)),
        }
    }

    fn set_command(&mut self, name: &str, args: &[Bytes]) -> Done {
        let (key, rest) = args.split_first().ok_or_else(|| unknown(name))?;
        match name {
            "SADD" => {
                let set = self.made_set(key)?;
                Ok(count(
                    rest.iter()
                        .filter(|&member| set.insert(member.clone()))
                        .count(),
                ))
            }
            "SREM" => {
                let mut gone = 0;
                if let Some(set) = self.set(key)? {
                    gone = rest.iter().filter(|member| set.remove(*member)).count();
                }
                self.tidy(key);
                Ok(count(gone))
            }
            "SMEMBERS" => {
                let members = self.set(key)?.map(|set| set.clone()).unwrap_or_default();
                Ok(Reply::List(members.into_iter().map(Reply::Bulk).collect()))
            }
            "SCARD" => Ok(count(self.set(key)?.map_or(0, |set| set.len()))),
            "SISMEMBER" => {
                let there = self.set(key)?.is_some_and(|set| set.contains(&rest[0]));
                Ok(Reply::Int(there.into()))
            }
            "SMISMEMBER" => {
                let set = self.set(key)?.map(|set| set.clone()).unwrap_or_default();
                let there = rest.iter().map(|member| set.contains(member));
                Ok(Reply::List(
                    there.map(|there| Reply::Int(there.into())).collect(),
                ))
            }
            _ => Err(unknown(name)),
        }
    }

    fn sorted_command(&mut self, name: &str, args: &[Bytes]) -> Done {
        let (key, rest) = args.split_first().ok_or_else(|| unknown(name))?;
        match name {
            "ZADD" => {
                let flag = rest.first().map(|word| word.to_ascii_uppercase());
                let flag = flag.filter(|flag| matches!(&flag[..], b"NX" | b"GT"));
                let pairs = &rest[usize::from(flag.is_some())..];
                let (only_new, only_more) = match flag.as_deref() {
                    Some(b"NX") => (true, false),
                    Some(_) => (false, true),
                    None => (false, false),
                };
                let sorted = self.made_sorted(key)?;
                let mut new = 0;
                for pair in pairs.chunks(2) {
                    let score = real(&pair[0])?;
                    match sorted.get_mut(&pair[1]) {
                        Some(old) if only_new || only_more && score <= *old => {}
                        Some(old) => *old = score,
                        None => {
                            sorted.insert(pair[1].clone(), score);
                            new += 1;
                        }
                    }
                }
                Ok(count(new))
            }
            "ZREMRANGEBYSCORE" => {
                let within = range(&rest[0], &rest[1])?;
                let mut gone = 0;
                if let Some(sorted) = self.sorted(key)? {
                    let before = sorted.len();
                    sorted.retain(|_, score| !within(*score));
                    gone = before - sorted.len();
                }
                self.tidy(key);
                Ok(count(gone))
            }
            "ZREM" => {
                let mut gone = 0;
                if let Some(sorted) = self.sorted(key)? {
                    gone = rest
                        .iter()
                        .filter(|member| sorted.remove(*member).is_some())
                        .count();
                }
                self.tidy(key);
                Ok(count(gone))
            }
            "ZCARD" => Ok(count(self.sorted(key)?.map_or(0, |sorted| sorted.len()))),
            "ZSCORE" => {
                let found = self.sorted(key)?.and_then(|sorted| sorted.get(&rest[0]));
                Ok(found.map_or(Reply::Nil, |score| {
                    Reply::Bulk(score.to_string().into_bytes())
                }))
            }
            "ZRANGEBYSCORE" => {
                let within = range(&rest[0], &rest[1])?;
                let mut found: Vec<(f64, Bytes)> = Vec::new();
                for (member, score) in self.sorted(key)?.into_iter().flatten() {
                    if within(*score) {
                        found.push((*score, member.clone()));
                    }
                }
                found.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
                if let [_, _, limit, from, most] = rest
                    && limit.eq_ignore_ascii_case(b"LIMIT")
                {
                    let at = |word: &Bytes| int(word).map(|n| usize::try_from(n).expect("within"));
                    let from = at(from)?.min(found.len());
                    found = found.split_off(from);
                    found.truncate(at(most)?);
                }
                Ok(Reply::List(
                    found.into_iter().map(|(_, m)| Reply::Bulk(m)).collect(),
                ))
            }
            "ZRANGE" => {
                let (from, to) = (int(&rest[0])?, int(&rest[1])?);
                let mut all: Vec<(f64, Bytes)> = Vec::new();
                for (member, score) in self.sorted(key)?.into_iter().flatten() {
                    all.push((*score, member.clone()));
                }
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
                let len = i64::try_from(all.len()).expect("a short list");
                let at = |at: i64| if at < 0 { at + len } else { at };
                let within = at(from).max(0)..=at(to).min(len - 1);
                let found = within
                    .map(|at| Reply::Bulk(all[usize::try_from(at).expect("within")].1.clone()));
                Ok(Reply::List(found.collect()))
            }
            _ => Err(unknown(name)),
        }
    }

    fn list_command(&mut self, name: &str, args: &[Bytes]) -> Done {
        let (key, rest) = args.split_first().ok_or_else(|| unknown(name))?;
        match name {
            "RPUSH" => {
                let list = self.made_list(key)?;
                list.extend(rest.iter().cloned());
                Ok(count(list.len()))
            }
            "LPUSH" => {
                let list = self.made_list(key)?;
                for item in rest {
                    list.push_front(item.clone());
                }
                Ok(count(list.len()))
            }
            "LPOP" => {
                let popped = self.list(key)?.and_then(VecDeque::pop_front);
                self.tidy(key);
                Ok(popped.map_or(Reply::Nil, Reply::Bulk))
            }
            "LLEN" => Ok(count(self.list(key)?.map_or(0, |list| list.len()))),
            "LRANGE" | "LTRIM" => {
                let (from, to) = (int(&rest[0])?, int(&rest[1])?);
                let Some(list) = self.list(key)? else {
                    let none = Reply::List(Vec::new());
                    return Ok(if name == "LRANGE" {
                        none
                    } else {
                        Reply::Status("OK")
                    });
                };
                let len = i64::try_from(list.len()).expect("a short list");
                let at = |at: i64| if at < 0 { at + len } else { at };
                let (from, to) = (at(from).max(0), at(to).min(len - 1));
                let kept = (from..=to).map(|at| list[usize::try_from(at).expect("within")].clone());
                let kept: VecDeque<Bytes> = kept.collect();
                if name == "LRANGE" {
                    return Ok(Reply::List(kept.into_iter().map(Reply::Bulk).collect()));
                }
                *list = kept;
                self.tidy(key);
                Ok(Reply::Status("OK"))
            }
            _ => Err(unknown(name)),
        }
    }
}

fn unknown(name: &str) -> String {
    format!("ERR unknown command '{name}': teach it to the simulation's Redis")
}

fn count(n: usize) -> Reply {
    Reply::Int(i64::try_from(n).expect("a small number"))
}

fn number(n: i64) -> Reply {
    Reply::Bulk(n.to_string().into_bytes())
}

fn int(text: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(text).map_err(|_| NOT_A_NUMBER.to_owned())?;
    text.parse().map_err(|_| NOT_A_NUMBER.to_owned())
}

/// A range of scores; a bound with a parenthesis before it is not part of it.
fn range(low: &[u8], high: &[u8]) -> Result<impl Fn(f64) -> bool + use<>, String> {
    let bound = |text: &[u8]| match text {
        [b'(', rest @ ..] => Ok::<_, String>((real(rest)?, false)),
        _ => Ok((real(text)?, true)),
    };
    let ((low, from), (high, to)) = (bound(low)?, bound(high)?);
    Ok(move |score: f64| {
        (score > low || from && score >= low) && (score < high || to && score <= high)
    })
}

fn real(text: &[u8]) -> Result<f64, String> {
    let bad = || "ERR value is not a valid float".to_owned();
    match text {
        b"-inf" => Ok(f64::NEG_INFINITY),
        b"+inf" | b"inf" => Ok(f64::INFINITY),
        _ => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(bad),
    }
}

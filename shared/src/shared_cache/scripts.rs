//! The calls that Redis runs as scripts, because they depend on what stands there. Each has one key. `entry.rs`
//! describes the contents.

use std::sync::LazyLock;

use ring::digest;

/// A script and its name for `EVALSHA`.
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) sha1: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        Self { text, sha1: hex::encode(sum) }
    }
}

/// Token, what was seen in its place, whether the first reader gets the lease, in milliseconds how long a lease and a
/// mark live, and whether the value is of no use. Answers 0, 1 for a lease, and 2 for a lease right after a write.
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local c = redis.call('GET', KEYS[1])
local k = c and string.sub(c, 1, 1)
if k == 'L' or k == 'B' then return 0 end
if k == 'V' or k == 'R' then
  if string.sub(c, 2, 17) ~= ARGV[2] then return 0 end
  if ARGV[6] == '0' then
    if k == 'R' then return 0 end
    redis.call('SETRANGE', KEYS[1], 0, 'R' .. ARGV[1])
    return 1
  end
elseif not c and ARGV[3] == '0' then
  redis.call('SET', KEYS[1], 'S', 'PX', ARGV[5])
  return 0
end
redis.call('SET', KEYS[1], 'L' .. ARGV[1], 'PX', ARGV[4])
if k == 'F' then return 2 end
return 1",
    )
});

/// Token, entry, and how many milliseconds it lives.
pub(super) static FILL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local c = redis.call('GET', KEYS[1])
if not c or string.sub(c, 2, 17) ~= ARGV[1] then return 0 end
local k = string.sub(c, 1, 1)
local is_newer = k == 'R' and string.sub(c, 18, 37) <= string.sub(ARGV[2], 18, 37)
if k ~= 'L' and not is_newer then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1",
    )
});

/// Entry, and in milliseconds how long the entry, the fence and a mark live. Without an entry, this forgets.
pub(super) static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local c = redis.call('GET', KEYS[1])
local k = c and string.sub(c, 1, 1)
if k == 'B' or k == 'S' then return 0 end
if (k == 'V' or k == 'R') and ARGV[1] ~= '' then
  if string.sub(c, 18, 37) <= string.sub(ARGV[1], 18, 37) then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  end
elseif ARGV[3] ~= '0' then
  redis.call('SET', KEYS[1], 'F', 'PX', ARGV[3])
elseif c then
  redis.call('SET', KEYS[1], 'S', 'PX', ARGV[4])
end
return 0",
    )
});

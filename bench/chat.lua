-- wrk's requests: turns of a thousand users in turn, so that no user waits for an earlier turn, and new users after ten turns each,
-- so that every server does the same work a turn.
local said = 0
local run = ""

function init(args) -- wrk ... -- RUN: a name that no earlier run had
  run = args[1]
end

function request()
  said = said + 1
  return wrk.format("POST", wrk.path, {["Content-Type"] = "application/json"},
    '{"user_id":"' .. run .. "-" .. said % 1000 .. "-" .. math.floor(said / 10000) .. '","message":"Tell me in a few words what the quick brown fox did today."}')
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %d %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, errors.connect + errors.read + errors.write + errors.status + errors.timeout, summary.requests))
end

-- wrk's requests: turns of so many users in turn, more than there are connections, so that no user waits for an earlier turn. After ten
-- turns each there are new users, so that every server does the same work a turn: a tenth of all turns begin a conversation.
local said = 0
local run, users

function init(args) -- wrk ... -- RUN USERS: a name that no earlier run had, and a number
  run, users = args[1], tonumber(args[2])
end

function request()
  said = said + 1
  return wrk.format("POST", wrk.path, {["Content-Type"] = "application/json"},
    '{"user_id":"' .. run .. "-" .. said % users .. "-" .. math.floor(said / users / 10) .. '","message":"Tell me in a few words what the quick brown fox did today."}')
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %d %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, errors.connect + errors.read + errors.write + errors.status + errors.timeout, summary.requests))
end

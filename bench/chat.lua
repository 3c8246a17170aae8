-- wrk's requests: turns of users who say ten things each, so that every server does the same work a turn.
local said = 0
local run = tostring(os.time()) .. "-" .. tostring(math.random(1, 1000000000))

function init(args)
  math.randomseed(os.time())
  run = tostring(os.time()) .. "-" .. (args[1] or "")
end

function request()
  said = said + 1
  return wrk.format("POST", wrk.path, {["Content-Type"] = "application/json"},
    '{"user_id":"' .. run .. "-" .. math.floor(said / 10) .. '","message":"Tell me in a few words what the quick brown fox did today."}')
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %d %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, errors.connect + errors.read + errors.write + errors.status + errors.timeout, summary.requests))
end

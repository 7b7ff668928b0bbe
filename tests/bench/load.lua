-- wrk's script: BENCH_HEADERS and BENCH_BODY are files, BENCH_PATHS has one path a line, asked in
-- turn; without a body they are fetched. BENCH_PAUSE is what a connection waits between requests, in ms.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
local body = file:read("*a")
file:close()
if #body > 0 then
  wrk.method = "POST"
  wrk.body = body
end
for line in io.lines(os.getenv("BENCH_HEADERS")) do
  local name, value = line:match("^(.-): (.*)$")
  wrk.headers[name] = value
end
local requests = {}
local turn = 0

function init()
  for path in io.lines(os.getenv("BENCH_PATHS")) do
    requests[#requests + 1] = wrk.format(nil, path)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

local pause = tonumber(os.getenv("BENCH_PAUSE"))
if pause > 0 then
  function delay()
    return pause
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end

-- wrk: one short chat request after another, and one line of results.
--   API_KEY         whose
--   BENCH_KEYS=bad  another wrong key each time
--   BENCH_ADDRESSES=new  as if from another address each time
local head = '{"model":"gpt-oss-120b","max_tokens":12,"messages":[{"role":"user","content":"'
local tail = '"}]}'

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("API_KEY") or "")
wrk.body = head .. string.rep("a campaign for the forest ", 20)
	:sub(1, 300 - #head - #tail) .. tail

local bad = os.getenv("BENCH_KEYS") == "bad"
local new = os.getenv("BENCH_ADDRESSES") == "new"

function init()
	math.randomseed(os.time())
end

local function another()
	if bad then
		wrk.headers["Authorization"] = string.format("Bearer pm_%08x%035d",
			math.random(0, 2147483647), math.random(0, 2147483647))
	end
	if new then
		wrk.headers["X-Forwarded-For"] = string.format("10.%d.%d.%d",
			math.random(0, 255), math.random(0, 255),
			math.random(0, 255))
	end
	return wrk.format()
end

if bad or new then
	request = another
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format("RESULT %.1f %d %d %d %d %d\n",
		summary.requests / (summary.duration / 1e6),
		latency:percentile(50), latency:percentile(99),
		summary.requests, e.connect + e.read + e.write + e.timeout,
		e.status))
end

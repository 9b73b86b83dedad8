-- wrk: one short chat request after another, and one line of results.
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("API_KEY") or "")
wrk.body = '{"model":"gpt-oss-120b","messages":[{"role":"user","content":"' ..
	string.rep("a campaign for the forest ", 8) .. '"}]}'

function done(summary, latency)
	local e = summary.errors
	io.write(string.format("RESULT %.1f %d %d %d\n",
		summary.requests / (summary.duration / 1e6),
		latency:percentile(50), latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
